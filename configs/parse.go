package configs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is a place in a file, both from 1.
type position struct{ line, col int }

// node is one value of a document with where it stands. Exactly one of fields,
// list and value is meant: a mapping has fields, a sequence isList.
type node struct {
	position
	key     position // of the key, for a field
	value   any      // string, int64, float64 or bool
	fields  map[string]*node
	order   []string
	list    []*node
	isList  bool
	missing bool // a default, or written with nothing after the colon
}

// plain is the node as the schema validator takes it.
func (n *node) plain() any {
	switch {
	case n.fields != nil:
		m := map[string]any{}
		for k, f := range n.fields {
			m[k] = f.plain()
		}
		return m
	case n.isList:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.plain()
		}
		return l
	}
	return n.value
}

// find walks a path of keys and indexes as far as it leads.
func (n *node) find(path ...string) *node {
	for _, p := range path {
		next := n.fields[p]
		if i, err := strconv.Atoi(p); n.isList && err == nil && i < len(n.list) {
			next = n.list[i]
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// parse turns YAML into nodes, and reports what no schema could. A nil node
// means that there is nothing to go on with.
func parse(text []byte, r *report) *node {
	if !utf8.Valid(text) {
		r.at(position{1, 1}, true, "read text", "the file is not UTF-8", "save it as UTF-8")
		return nil
	}
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	docs := 0
	var body ast.Node
	for _, d := range f.Docs {
		if d.Body != nil {
			docs, body = docs+1, d.Body
		}
	}
	if docs != 1 {
		r.at(position{1, 1}, false, "read document", fmt.Sprintf("the file holds %d documents", docs),
			"write exactly one; the examples in configs/ show how")
		return nil
	}
	return r.node(body)
}

// syntax reports what the YAML parser says.
func (r *report) syntax(err error) {
	p, why := position{1, 1}, err.Error()
	if s, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		why = s.Message
		if s.Token != nil {
			p = at(s.Token)
		}
	}
	r.at(p, true, "read YAML", why, "check indentation, quotes and brackets on this line and the one before")
}

// at is a token's position.
func at(t *token.Token) position { return position{t.Position.Line, t.Position.Column} }

// node turns one value into a node.
func (r *report) node(n ast.Node) *node {
	out := &node{position: at(n.GetToken())}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.fields = map[string]*node{}
		if !n.IsFlowStyle && len(n.Values) > 0 {
			out.position = at(n.Values[0].Key.GetToken())
		}
		for _, v := range n.Values {
			r.field(out, v)
		}
	case *ast.MappingValueNode:
		out.fields = map[string]*node{}
		out.position = at(n.Key.GetToken())
		r.field(out, n)
	case *ast.SequenceNode:
		out.isList = true
		for _, v := range n.Values {
			out.list = append(out.list, r.node(v))
		}
	case *ast.StringNode:
		out.value = n.Value
	case *ast.LiteralNode:
		out.value = n.Value.Value
	case *ast.BoolNode:
		out.value = n.Value
	case *ast.IntegerNode:
		r.integer(out, n.GetToken().Value)
	case *ast.FloatNode:
		out.value = n.Value
	case *ast.NullNode:
		out.missing = true
	default:
		r.at(out.position, true, "read value", "anchors, aliases, tags and special numbers are not taken here",
			"write the value out, in quotes if it is text")
		out.missing = true
	}
	return out
}

// field adds one key to a mapping, or reports why not.
func (r *report) field(m *node, v *ast.MappingValueNode) {
	where := at(v.Key.GetToken())
	key, ok := v.Key.(*ast.StringNode)
	if !ok {
		r.at(where, true, "read key", "a key must be a plain word", "write the key as a word, in quotes if it is a number")
		return
	}
	if first, twice := m.fields[key.Value]; twice {
		r.at(where, true, fmt.Sprintf("key %q", key.Value),
			fmt.Sprintf("it is given twice; the first is on line %d", first.key.line), "keep one of them")
		return
	}
	for _, other := range m.order {
		if strings.EqualFold(other, key.Value) {
			r.at(where, true, fmt.Sprintf("key %q", key.Value),
				fmt.Sprintf("it differs from %q on line %d only in case", other, m.fields[other].key.line), "keep one of them")
			return
		}
	}
	child := r.node(v.Value)
	child.key = where
	if _, null := v.Value.(*ast.NullNode); null {
		child.position = where
	}
	m.fields[key.Value] = child
	m.order = append(m.order, key.Value)
}

// integer takes plain decimals only: 012 and 0x1f mean different things to
// different readers.
func (r *report) integer(n *node, text string) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != text {
		r.at(n.position, false, "number "+text, "it is not a plain decimal number",
			"write digits only, without leading zeros")
		n.missing = true
		return
	}
	n.value = v
}
