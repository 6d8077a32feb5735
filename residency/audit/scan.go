package audit

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// fast reads an entry of the plain kind nearly all are of, in one pass and without a tree: the keys of Entry in order,
// every key in lower case, text with no escape but the short ones. It answers false for anything else, right or wrong:
// then the long way decides. Whatever it takes the long way takes too, as the same entry; tests hold it to that.
func fast(b []byte) (Entry, bool) {
	s := scanner{b: b}
	e := Entry{V: 1}
	var at []byte
	for _, f := range []struct {
		key string
		to  *string
	}{{`{"actor":`, &e.Actor}, {`,"at":`, nil}, {`,"body":`, nil}, {`,"burst":`, &e.Burst}, {`,"code":`, &e.Code},
		{`,"kind":`, &e.Kind}} {
		if !s.skip(f.key) {
			if f.to == &e.Burst {
				continue
			}
			return Entry{}, false
		}
		from := s.at
		switch {
		case f.key == `,"body":`:
			if !s.object(1) {
				return Entry{}, false
			}
			e.Body = bytes.Clone(b[from:s.at])
		case !s.plain():
			return Entry{}, false
		case f.to == nil:
			at = b[from+1 : s.at-1]
		default:
			if *f.to = string(b[from+1 : s.at-1]); *f.to == "" {
				return Entry{}, false
			}
		}
	}
	if !s.skip(`,"v":1}`) || s.at != len(b) || e.At.UnmarshalText(at) != nil {
		return Entry{}, false
	}
	var spelled [64]byte
	if !bytes.Equal(e.At.UTC().AppendFormat(spelled[:0], time.RFC3339Nano), at) || e.check() != nil {
		return Entry{}, false
	}
	return e, true
}

// scanner walks over canonical JSON. Its methods answer false where the text is not of the plain kind.
type scanner struct {
	b  []byte
	at int
}

// skip passes over text that must come next.
func (s *scanner) skip(text string) bool {
	if len(s.b)-s.at < len(text) || string(s.b[s.at:s.at+len(text)]) != text {
		return false
	}
	s.at += len(text)
	return true
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.b) {
		return s.b[s.at]
	}
	return 0
}

// value passes over a value at a depth.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case depth > maxDepth:
		return false
	case c == '"':
		return s.text()
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == 't':
		return s.skip("true")
	case c == 'f':
		return s.skip("false")
	case c == 'n':
		return s.skip("null")
	}
	return s.number()
}

// object passes over an object whose keys are in order, and so are there once. Only lower-case keys are taken: two of
// them that differ, differ in more than case.
func (s *scanner) object(depth int) bool {
	if !s.skip("{") {
		return false
	}
	if s.skip("}") {
		return true
	}
	for last := []byte(nil); ; {
		from := s.at + 1
		if !s.key() {
			return false
		}
		key := s.b[from : s.at-1]
		if last != nil && bytes.Compare(last, key) >= 0 {
			return false
		}
		if last = key; !s.skip(":") || !s.value(depth+1) {
			return false
		}
		if s.skip("}") {
			return true
		}
		if !s.skip(",") {
			return false
		}
	}
}

// key passes over a key of lower-case letters, digits and marks.
func (s *scanner) key() bool {
	if !s.skip(`"`) {
		return false
	}
	for ; s.at < len(s.b); s.at++ {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return true
		case c < ' ' || c == '\\' || c >= 'A' && c <= 'Z' || c > '~':
			return false
		}
	}
	return false
}

// array passes over a list.
func (s *scanner) array(depth int) bool {
	if !s.skip("[") {
		return false
	}
	if s.skip("]") {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if s.skip("]") {
			return true
		}
		if !s.skip(",") {
			return false
		}
	}
}

// number passes over an integer of at most 18 digits in its one spelling.
func (s *scanner) number() bool {
	negative := s.skip("-")
	from := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	digits := s.at - from
	return digits >= 1 && digits <= 18 && (s.b[from] != '0' || digits == 1 && !negative)
}

// plain passes over text without an escape.
func (s *scanner) plain() bool {
	from := s.at
	return s.text() && bytes.IndexByte(s.b[from:s.at], '\\') < 0
}

// text passes over a string as the encoder writes it.
func (s *scanner) text() bool {
	if !s.skip(`"`) {
		return false
	}
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return true
		case c == '\\':
			if s.at+1 == len(s.b) || bytes.IndexByte([]byte(`"\nrtbf`), s.b[s.at+1]) < 0 {
				return false
			}
			s.at += 2
		case c < ' ':
			return false
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRune(s.b[s.at:])
			if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
				return false
			}
			s.at += n
		}
	}
	return false
}
