// Package configs reads the files that configure the two commands, and refuses
// what it does not know.
//
// # Strict, and all at once
//
// A reader takes one YAML document and checks it against the JSON Schema of its
// kind (in schema/, JSON Schema 2020-12, usable by editors as it is). A key that
// is unknown, repeated or written in another case is refused; so are anchors,
// aliases, tags, merge keys, empty values and numbers that are not plain
// decimals, because two readers could take them for different things. Every
// [Mistake] of a file is reported at once ([Errors]), with line, column, the
// line itself and what to do; values of keys nobody asked for are not repeated,
// since they may be secrets.
//
// # Values
//
// Durations are Go's ("5m", "1h30m"), money has its currency ("12.50 USD"), and
// a relative path starts at the directory of the file that holds it and is
// absolute once read. Defaults are those of the schema and are nowhere else.
//
// # Examples
//
// controller.yaml, edge.yaml, job.yaml and catalogue.yaml beside this package
// are complete; their comments are the manual, and a test reads each of them.
//
// *Non-goals*: reading keys (configs/keys), rules (residency), roles
// (configs/roles) and offers (pools/cloud/catalog).
package configs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxSize bounds a file; a larger one is not a configuration.
const maxSize = 1 << 20

// NATS is how to reach the bus. Key is what an edge signs its requests with; a
// controller has none.
type NATS struct {
	URL   string // tls://host:port
	Creds string `path:"file"` // NATS user credentials, 0600
	CA    string `path:"file"` // roots for URL
	Key   string `path:"file"` // Ed25519, PKCS #8, 0600
}

// Places is the signed table that says which country a place lies in.
type Places struct {
	Table string   `path:"file"`
	Keys  []string `path:"file"` // verifier keys whose signatures count

	Threshold int // of Keys that must have signed it; 0 is all
}

// Need is how many of the keys must have signed the table.
func (p Places) Need() int { return cmp.Or(p.Threshold, len(p.Keys)) }

// check refuses a threshold that no table can meet.
func (p Places) check(r *report) {
	if n := len(p.Keys); p.Threshold > n {
		r.at(r.root.find("places", "threshold").position, false, "key places.threshold",
			fmt.Sprintf("it asks for %d signatures and places.keys has %d", p.Threshold, n), "ask for at most one a key")
	}
}

// read reads the file at path as kind into v, which must be a pointer to a
// struct, and asks check, if any, for what a schema cannot say.
func read[T any](kind, path string, check func(v *T, r *report)) (T, error) {
	var v T
	b, err := readFile(path)
	if err != nil {
		return v, fmt.Errorf("read %s: %w", kind, err)
	}
	r := &report{file: path, kind: kind, text: b}
	root := parse(b, r)
	if root != nil {
		conform(kind, root, r)
	}
	if err := r.err(); err != nil {
		return v, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return v, fmt.Errorf("read %s: %w", kind, err)
	}
	if err := (decoder{dir}).decode(root, &v); err != nil {
		return v, fmt.Errorf("read %s %s: %w", kind, path, err)
	}
	r.root = root
	if check != nil {
		check(&v, r)
	}
	if err := r.err(); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// readFile reads a regular file of bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = errors.New("larger than 1 MiB")
	}
	return b, err
}
