package configs

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// decoder puts a document that conforms to its schema into a Go value. A field
// takes the key of its json tag, else its own name in snake case. Text tagged
// path:"file" is a path and starts at dir; path:"library" only if it has a slash.
type decoder struct{ dir string }

// decode fills the struct that v points to.
func (d decoder) decode(n *node, v any) error {
	return d.set(n, reflect.ValueOf(v).Elem(), "")
}

// set puts one node into one value.
func (d decoder) set(n *node, v reflect.Value, path string) error {
	if done, err := d.known(n, v); done {
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.fields(n, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.set(n, v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.list), len(n.list)))
		for i, e := range n.list {
			if err := d.set(e, v.Index(i), path); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for key, f := range n.fields {
			value := reflect.New(v.Type().Elem()).Elem()
			if err := d.set(f, value, path); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
		return nil
	case reflect.String:
		s, ok := n.value.(string)
		v.SetString(d.resolve(s, path))
		return mustBe(ok, n, v)
	case reflect.Bool:
		b, ok := n.value.(bool)
		v.SetBool(b)
		return mustBe(ok, n, v)
	case reflect.Int, reflect.Int64:
		i, ok := n.value.(int64)
		v.SetInt(i)
		return mustBe(ok, n, v)
	}
	return mustBe(false, n, v)
}

// known sets the types that are written as text.
func (d decoder) known(n *node, v reflect.Value) (bool, error) {
	text, _ := n.value.(string)
	switch to := v.Addr().Interface().(type) {
	case *time.Duration:
		parsed, err := time.ParseDuration(text)
		*to = parsed
		return true, err
	case *policy.Money:
		parsed, err := policy.ParseMoney(text)
		*to = parsed
		return true, err
	case *Budget:
		if n.fields != nil {
			return false, nil
		}
		parsed, err := policy.ParseMoney(text)
		to.Total = parsed
		return true, err
	case *residency.Address:
		parsed, err := residency.ParseAddress(text)
		*to = parsed
		return true, err
	case encoding.TextUnmarshaler:
		return true, to.UnmarshalText([]byte(text))
	}
	return false, nil
}

// fields fills a struct.
func (d decoder) fields(n *node, v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			key = snake(f.Name)
		}
		if child := n.fields[key]; child != nil {
			if err := d.set(child, v.Field(i), f.Tag.Get("path")); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// resolve makes a path start at the file's directory.
func (d decoder) resolve(s, path string) string {
	if path == "" || s == "" || filepath.IsAbs(s) || path == "library" && !strings.Contains(s, "/") {
		return s
	}
	return filepath.Join(d.dir, s)
}

func mustBe(ok bool, n *node, v reflect.Value) error {
	if !ok {
		return fmt.Errorf("line %d: %T does not go into %s", n.line, n.value, v.Type())
	}
	return nil
}

// snake turns EdgeKey into edge_key and URL into url.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && (name[i-1] < 'A' || name[i-1] > 'Z') {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}
