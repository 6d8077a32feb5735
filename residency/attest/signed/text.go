package signed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Base64 reads standard base64 with padding, in one line or many.
func Base64(text []byte) ([]byte, error) {
	if len(text) > 2*MaxSize {
		return nil, Fail("base64", "it has %d characters", len(text))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return nil, Fail("base64", "it is not standard base64 with padding")
	}
	return b, nil
}

// Object is a JSON object whose keys are each there once. Made by
// [ParseObject]; the zero Object holds nothing.
type Object map[string]json.RawMessage

// ParseObject reads exactly one object. Two keys that differ in case alone are
// one key twice, because readers differ on them.
func ParseObject(b []byte) (Object, error) {
	o, err := parseObject(b)
	if err != nil {
		return nil, Fail("document", "it is no JSON object: %v", err)
	}
	return o, nil
}

func parseObject(b []byte) (Object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	o, folded := Object{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errors.New("a key cannot be read")
		}
		key, _ := t.(string)
		if folded[strings.ToLower(key)] {
			return nil, errors.New("a key is there twice")
		}
		folded[strings.ToLower(key)] = true
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("a value cannot be read")
		}
		o[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it does not end")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	return o, nil
}

// Text is the string at key, which must be there and not be empty.
func (o Object) Text(key string) (string, error) {
	raw := o[key]
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || s == "" {
		return "", Fail("document", "it has no text at %q", key)
	}
	return s, nil
}
