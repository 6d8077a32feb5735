package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// explainer words what the schema validator found for a person.
type explainer struct {
	lib *library
	*report
	root *node
}

// explain reports the leaves of a validation error.
func (e explainer) explain(v *jsonschema.ValidationError) {
	for _, c := range v.Causes {
		e.explain(c)
	}
	if len(v.Causes) > 0 {
		return
	}
	n := e.root.find(v.InstanceLocation...)
	if n.missing && n.value == nil && n.fields == nil && !n.isList {
		e.empty(v, n)
		return
	}
	switch k := v.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		e.unknown(v, n, k.Properties)
	case *kind.Required:
		e.required(v, n, k.Missing)
	case *kind.Type:
		e.at(n.position, false, e.name(v), "it is "+article(k.Got)+", not "+article(k.Want...), e.example(v))
	case *kind.Enum:
		why := fmt.Sprintf("%v is none of its values", show(k.Got))
		e.at(n.position, false, e.name(v), why, suggest(fmt.Sprint(k.Got), texts(k.Want)))
	case *kind.Const:
		e.at(n.position, false, e.name(v), fmt.Sprintf("%v is not taken", show(k.Got)), fmt.Sprintf("write %v", k.Want))
	case *kind.Format:
		e.at(n.position, false, e.name(v), k.Err.Error(), formatExample(k.Want))
	case *kind.UniqueItems:
		e.at(n.list[k.Duplicates[1]].position, false, e.name(v), "it is listed twice", "keep one of them")
	case *kind.PropertyNames:
		why := fmt.Sprintf("%q is not a plain lower-case name", k.Property)
		e.at(n.position, true, e.name(v), why, "use a-z, 0-9 and single hyphens")
	default:
		e.at(n.position, false, e.name(v), limit(v.ErrorKind), e.example(v))
	}
}

// name says which key is meant: `key "ttl" of issuer`.
func (e explainer) name(v *jsonschema.ValidationError) string {
	path := v.InstanceLocation
	if len(path) == 0 {
		return "the file"
	}
	return "key " + dotted(path)
}

// dotted writes a path as sites[0].edge_key.
func dotted(path []string) string {
	var b strings.Builder
	for i, p := range path {
		switch {
		case p != "" && strings.Trim(p, "0123456789") == "":
			b.WriteString("[" + p + "]")
		case i > 0:
			b.WriteString("." + p)
		default:
			b.WriteString(p)
		}
	}
	return b.String()
}

// unknown reports keys the schema does not have.
func (e explainer) unknown(v *jsonschema.ValidationError, n *node, keys []string) {
	known := slices.Collect(maps.Keys(asMap(e.schemaOf(v)["properties"])))
	for _, key := range keys {
		e.at(n.fields[key].key, true, fmt.Sprintf("unknown key %q", key),
			"this version does not know it here", suggest(key, known))
	}
}

// required reports keys that must be there.
func (e explainer) required(v *jsonschema.ValidationError, n *node, keys []string) {
	p := n.position
	if n.key.line > 0 {
		p = n.key
	}
	known := asMap(e.schemaOf(v)["properties"])
	for _, key := range keys {
		if misspelt(n, key, known) {
			continue
		}
		what := "missing key " + dotted(append(slices.Clone(v.InstanceLocation), key))
		fix := "add \"" + key + ": …\""
		prop := asMap(known[key])
		if d, ok := prop["description"].(string); ok {
			fix = "add \"" + key + ": …\": " + lower(d)
		}
		e.at(p, false, what, "nothing stands in for it", fix)
	}
}

// misspelt reports whether a missing key is there under an unknown name that
// will be taken for it: one slip, one mistake.
func misspelt(n *node, key string, known map[string]any) bool {
	for _, k := range n.order {
		if _, ok := known[k]; !ok && near(k, slices.Collect(maps.Keys(known))) == key {
			return true
		}
	}
	return false
}

// empty reports a key with nothing after its colon. What parse has already
// reported at the same place is not said twice.
func (e explainer) empty(v *jsonschema.ValidationError, n *node) {
	for _, m := range e.found {
		if m.Line == n.line && m.Col == n.col {
			return
		}
	}
	e.at(n.position, false, e.name(v), "it has no value", e.example(v))
}

// schemaOf is the schema, as written, that a value failed.
func (e explainer) schemaOf(v *jsonschema.ValidationError) map[string]any {
	file, pointer, _ := strings.Cut(strings.TrimPrefix(v.SchemaURL, schemaBase), "#")
	for _, k := range []string{"/if", "/then", "/else", "/allOf"} {
		pointer, _, _ = strings.Cut(pointer, k)
	}
	return e.lib.pointer(file, pointer)
}

// example words a remedy from the schema's description and examples.
func (e explainer) example(v *jsonschema.ValidationError) string {
	s := e.schemaOf(v)
	if f, ok := s["format"].(string); ok {
		return formatExample(f)
	}
	if d, ok := s["description"].(string); ok {
		return "it is " + lower(d)
	}
	return "see the commented example in configs/"
}

// limit words the bounds of numbers, texts and lists.
func limit(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return fmt.Sprintf("%s is less than %s", k.Got.RatString(), k.Want.RatString())
	case *kind.Maximum:
		return fmt.Sprintf("%s is more than %s", k.Got.RatString(), k.Want.RatString())
	case *kind.MinItems:
		return fmt.Sprintf("it lists %d and needs at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("it lists %d and may list at most %d", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("it names %d and needs at least %d", k.Got, k.Want)
	case *kind.MinLength:
		return "it is empty"
	case *kind.MaxLength:
		return fmt.Sprintf("it is longer than %d characters", k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("%q is not of the form %s", k.Got, k.Want)
	}
	return "it breaks the rule " + strings.Join(k.KeywordPath(), "/")
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// show quotes text and leaves numbers.
func show(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}

// article words JSON types: "a mapping", "a list or a text".
func article(types ...string) string {
	words := map[string]string{"object": "a mapping", "array": "a list", "string": "text", "number": "a number",
		"integer": "a whole number", "boolean": "true or false", "null": "nothing"}
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = words[t]
	}
	return strings.Join(out, " or ")
}

// lower starts a description as the rest of a sentence.
func lower(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' || strings.HasPrefix(s, "A ") {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
