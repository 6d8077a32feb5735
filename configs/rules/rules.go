// Package rules ships the residency rules of the demo, as an officer of the
// insurer in it would keep them: one Cedar file for what must never happen, one
// for what may.
//
// They are an example to copy and change, not legal advice. Facts a rule may
// use, and their types, are those of residency's question; a rule that names
// another is refused when the files are read.
package rules

import (
	"embed"
	"fmt"
)

//go:embed *.cedar
var files embed.FS

// Files returns the rule files, name to content, as residency.ParseRules takes
// them. Each call returns its own copy.
func Files() map[string][]byte {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(fmt.Sprintf("read embedded rules: %v", err)) // compiled in: cannot happen
	}
	m := make(map[string][]byte, len(entries))
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		if err != nil {
			panic(fmt.Sprintf("read embedded rules: %v", err)) // compiled in: cannot happen
		}
		m[e.Name()] = b
	}
	return m
}
