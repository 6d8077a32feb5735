package signed

import "errors"

// Tags of X.690 that matter here.
const (
	tagOctets   = 0x04
	tagSequence = 0x30
	tagSet      = 0x31
	tagContent  = 0xa0 // what holds the content, among others
	constructed = 0x20
	classBits   = 0xc0
)

// maxDepth bounds nesting; a certificate in a message reaches twelve.
const maxDepth = 24

// errShort: the bytes end inside of a value.
var errShort = errors.New("it is truncated")

// der is the one DER spelling of the single BER value that b holds. What is
// DER already is returned as it is.
func der(b []byte) ([]byte, error) {
	out, rest, err := value(b, 0, 0)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes follow its end")
	}
	return out, err
}

// value reads the value that b begins with and returns it in DER, and the rest.
// in is the tag of what it is part of.
func value(b []byte, in byte, depth int) (out, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	tag := b[0]
	inParts := tag&constructed != 0 && tag&classBits == 0 && tag != tagSequence && tag != tagSet
	switch {
	case depth > maxDepth:
		return nil, nil, errors.New("it is nested too deeply")
	case tag&0x1f == 0x1f:
		return nil, nil, errors.New("it has a tag of many bytes")
	case inParts && (tag != tagOctets|constructed || in != tagContent):
		return nil, nil, errors.New("it has a value in parts that may have none")
	}
	if b[1] == 0x80 {
		if tag&constructed == 0 {
			return nil, nil, errors.New("a plain value has no length")
		}
		out, rest, err = parts(b[2:], true, tag, depth)
		return out, rest, err
	}
	content, rest, err := definite(b[1:])
	if err != nil || tag&constructed == 0 {
		return encode(tag, content), rest, err
	}
	out, _, err = parts(content, false, tag, depth)
	return out, rest, err
}

// definite reads a length in its shortest spelling, and so many bytes.
func definite(b []byte) (content, rest []byte, err error) {
	n, b := int(b[0]), b[1:]
	if n > 0x80 {
		size := n & 0x7f
		if size > 2 {
			return nil, nil, errors.New("a value in it is oversized")
		}
		if len(b) < size {
			return nil, nil, errShort
		}
		n = 0
		for _, c := range b[:size] {
			n = n<<8 | int(c)
		}
		if n < 0x80 || size == 2 && n < 0x100 {
			return nil, nil, errors.New("a length in it is not in its shortest spelling")
		}
		b = b[size:]
	}
	if n > len(b) {
		return nil, nil, errShort
	}
	return b[:n], b[n:], nil
}

// parts reads the values inside a constructed one: up to the end mark if open,
// else up to the end of b.
func parts(b []byte, open bool, tag byte, depth int) (out, rest []byte, err error) {
	octets := tag == tagOctets|constructed
	var inner []byte
	for {
		switch {
		case open && len(b) >= 2 && b[0] == 0 && b[1] == 0:
			return finish(tag, octets, inner), b[2:], nil
		case !open && len(b) == 0:
			return finish(tag, octets, inner), nil, nil
		case len(b) > 0 && b[0] == 0:
			return nil, nil, errors.New("it has an end mark where nothing is open")
		case octets && len(b) > 0 && b[0] != tagOctets:
			return nil, nil, errors.New("an octet string has a part that is none")
		}
		var part []byte
		if octets && len(b) > 1 && b[1] != 0x80 {
			part, b, err = definite(b[1:])
		} else {
			part, b, err = value(b, tag, depth+1)
		}
		if err != nil {
			return nil, nil, err
		}
		inner = append(inner, part...)
	}
}

// finish encodes a constructed value; an octet string becomes a plain one.
func finish(tag byte, octets bool, inner []byte) []byte {
	if octets {
		tag = tagOctets
	}
	return encode(tag, inner)
}

// encode writes a value in DER. Content is at most MaxSize bytes.
func encode(tag byte, content []byte) []byte {
	n := len(content)
	out := []byte{tag}
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, content...)
}
