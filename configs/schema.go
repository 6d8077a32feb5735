package configs

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schemas holds the JSON Schema of each kind, "schema/controller.schema.json"
// and so on, for tools that want them.
//
//go:embed schema/*.schema.json
var Schemas embed.FS

// schemaBase is the $id of every schema, up to the file's name.
const schemaBase = "https://burstctl.github.io/schema/"

// library is the schemas, compiled once, and as they were written.
type library struct {
	compiled map[string]*jsonschema.Schema
	written  map[string]map[string]any // by file name
}

// schemas compiles what is embedded. A test compiles it too, so that an error
// never reaches a user.
var schemas = sync.OnceValues(func() (*library, error) {
	files, err := Schemas.ReadDir("schema")
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	for _, f := range formats() {
		c.RegisterFormat(&jsonschema.Format{Name: f.name, Validate: f.validate})
	}
	lib := &library{compiled: map[string]*jsonschema.Schema{}, written: map[string]map[string]any{}}
	for _, f := range files {
		b, err := Schemas.ReadFile("schema/" + f.Name())
		if err != nil {
			return nil, err
		}
		var doc map[string]any
		if err := json.Unmarshal(b, &doc); err != nil {
			return nil, fmt.Errorf("read schema %s: %w", f.Name(), err)
		}
		if err := c.AddResource(schemaBase+f.Name(), doc); err != nil {
			return nil, err
		}
		lib.written[f.Name()] = doc
	}
	for name := range lib.written {
		s, err := c.Compile(schemaBase + name)
		if err != nil {
			return nil, err
		}
		lib.compiled[strings.TrimSuffix(name, ".schema.json")] = s
	}
	return lib, nil
})

// conform checks a document against the schema of its kind and fills in the
// defaults.
func conform(kind string, root *node, r *report) {
	lib, err := schemas()
	if err != nil {
		r.at(position{1, 1}, false, "compile schema", err.Error(), "this is a defect of burstctl; please report it")
		return
	}
	file := kind + ".schema.json"
	w := walker{lib: lib, report: r}
	w.visit(file, lib.written[file], root)
	err = lib.compiled[kind].Validate(root.plain())
	if v, ok := err.(*jsonschema.ValidationError); ok {
		e := explainer{lib: lib, report: r, root: root}
		e.explain(v)
	}
}

// walker goes through a document beside its schema, to fill in defaults and to
// hold the bounds of durations, which JSON Schema cannot say.
type walker struct {
	lib *library
	*report
}

// visit walks one value. s is the schema written for it in file.
func (w walker) visit(file string, s map[string]any, n *node) {
	file, s = w.lib.follow(file, s)
	if s == nil {
		return
	}
	w.bound(s, n)
	if items, ok := s["items"].(map[string]any); ok && n.isList {
		for _, e := range n.list {
			w.visit(file, items, e)
		}
	}
	props, _ := s["properties"].(map[string]any)
	if n.fields == nil {
		return
	}
	for key, p := range props {
		prop := p.(map[string]any)
		if _, there := n.fields[key]; !there {
			if def, ok := w.lib.fallback(file, prop); ok {
				n.fields[key] = fromJSON(def, n.position)
			}
		}
		if child := n.fields[key]; child != nil {
			w.visit(file, prop, child)
		}
	}
}

// follow resolves $ref, within the file or to another one.
func (l *library) follow(file string, s map[string]any) (string, map[string]any) {
	for range 8 {
		ref, ok := s["$ref"].(string)
		if !ok {
			return file, s
		}
		other, pointer, _ := strings.Cut(ref, "#")
		if other != "" {
			file = other
		}
		s = l.pointer(file, pointer)
	}
	return file, nil
}

// pointer looks a JSON pointer up in a schema file; nil if it leads nowhere.
func (l *library) pointer(file, pointer string) map[string]any {
	var at any = l.written[file]
	for part := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[part]
	}
	m, _ := at.(map[string]any)
	return m
}

// fallback is the default of a property, said beside a $ref or behind it.
func (l *library) fallback(file string, s map[string]any) (any, bool) {
	if d, ok := s["default"]; ok {
		return d, true
	}
	_, s = l.follow(file, s)
	d, ok := s["default"]
	return d, ok
}

// bound holds a duration to x-least and x-most.
func (w walker) bound(s map[string]any, n *node) {
	text, ok := n.value.(string)
	d, err := time.ParseDuration(text)
	if !ok || err != nil {
		return
	}
	if least, ok := s["x-least"].(string); ok {
		if limit, _ := time.ParseDuration(least); d < limit {
			w.at(n.position, false, "duration "+text, "it is shorter than "+least, "write "+least+" or longer")
		}
	}
	if most, ok := s["x-most"].(string); ok {
		if limit, _ := time.ParseDuration(most); d > limit {
			w.at(n.position, false, "duration "+text, "it is longer than "+most, "write "+most+" or shorter")
		}
	}
}

// fromJSON turns a default into a node that stands where its parent does.
func fromJSON(v any, p position) *node {
	n := &node{position: p, key: p, value: v}
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			n.value = int64(v)
		}
	case map[string]any:
		n.value, n.fields = nil, map[string]*node{}
		for k, f := range v {
			n.fields[k] = fromJSON(f, p)
		}
	case []any:
		n.value, n.isList = nil, true
		for _, e := range v {
			n.list = append(n.list, fromJSON(e, p))
		}
	}
	return n
}
