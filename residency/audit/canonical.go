package audit

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may nest, so that bad input costs nothing.
const maxDepth = 32

// Canonical encodes v as the one JSON text it has: keys sorted by their UTF-8 bytes, no white space, no HTML escapes,
// integers of 64 bits only. It refuses floats, text that is not Unicode and nesting beyond 32 levels.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	tree, err := parseTree(raw)
	if err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	b, err := encodeTree(tree)
	if err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	return b, nil
}

// encodeTree is the inverse of parseTree for canonical text.
func encodeTree(tree any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// DecodeStrict decodes the JSON text b into the value v points to. Unlike encoding/json alone it refuses unknown keys,
// keys given twice, keys that differ only in case (from each other or from the field's name), floats, text that is not
// Unicode and anything after the value. White space and the order of keys are free; DecodeEntry is stricter.
func DecodeStrict(b []byte, v any) error {
	if _, err := decodeStrict(b, v); err != nil {
		return fmt.Errorf("decode strict JSON: %w", err)
	}
	return nil
}

func decodeStrict(b []byte, v any) (tree any, err error) {
	if tree, err = parseTree(b); err != nil {
		return nil, err
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("%T is no pointer", v)
	}
	if err := exactNames(t, tree); err != nil {
		return nil, err
	}
	return tree, json.Unmarshal(b, v)
}

// parseTree reads one JSON value into maps, slices, strings, booleans and json.Number.
func parseTree(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	tree, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the value")
	}
	return tree, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '{' {
			return parseObject(d, depth)
		}
		return parseArray(d, depth)
	case json.Number:
		if n, err := strconv.ParseInt(tok.String(), 10, 64); err != nil || strconv.FormatInt(n, 10) != tok.String() {
			return nil, fmt.Errorf("number %s is no 64-bit integer", tok)
		}
	case string:
		return tok, isText(tok)
	}
	return tok, nil
}

func parseObject(d *json.Decoder, depth int) (any, error) {
	obj, folded := map[string]any{}, map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := tok.(string)
		if err := isText(key); err != nil {
			return nil, err
		}
		if low := strings.ToLower(key); folded[low] {
			return nil, fmt.Errorf("key %q is given twice", key)
		} else {
			folded[low] = true
		}
		if obj[key], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return obj, err
}

func parseArray(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := parseValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

// isText refuses the replacement character: it is what encoding/json silently makes of text that is not Unicode.
func isText(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return fmt.Errorf("%q is not valid Unicode", s)
	}
	return nil
}

var (
	jsonDecoder = reflect.TypeFor[json.Unmarshaler]()
	textDecoder = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// exactNames refuses keys of tree that are not, letter for letter, names of fields of t.
func exactNames(t reflect.Type, tree any) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(jsonDecoder) || p.Implements(textDecoder) {
		return nil
	}
	obj, _ := tree.(map[string]any)
	list, _ := tree.([]any)
	switch t.Kind() {
	case reflect.Struct:
		if len(obj) == 0 {
			return nil
		}
		names := fieldsOf(t)
		for key, v := range obj {
			field, ok := names[key]
			if !ok {
				return fmt.Errorf("unknown key %q", key)
			}
			if err := exactNames(field, v); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	case reflect.Map:
		for key, v := range obj {
			if err := exactNames(t.Elem(), v); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	case reflect.Slice, reflect.Array:
		for i, v := range list {
			if err := exactNames(t.Elem(), v); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
	}
	return nil
}

// known remembers what fieldsOf found: types do not change.
var known sync.Map

// fieldsOf are the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if names, ok := known.Load(t); ok {
		return names.(map[string]reflect.Type)
	}
	names := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		tag, tagged := f.Tag.Lookup("json")
		name, _, _ := strings.Cut(tag, ",")
		if !f.IsExported() || tag == "-" || f.Anonymous && name == "" {
			continue
		}
		if !tagged || name == "" {
			name = f.Name
		}
		names[name] = f.Type
	}
	known.Store(t, names)
	return names
}
