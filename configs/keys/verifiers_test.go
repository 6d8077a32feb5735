package keys_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/keys"
)

func TestOneKeyUnderTwoNamesDoesNotCountTwice(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	vkey := func(name string, pub ed25519.PublicKey) string {
		t.Helper()
		v, err := note.NewEd25519VerifierKey(name, pub)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	office, council := write("office.vkey", vkey("office", one)), write("council.vkey", vkey("council", two))
	alias := write("alias.vkey", vkey("council", one))
	if vs, err := keys.Verifiers(office, council); err != nil || len(vs) != 2 || vs[1].Name() != "council" {
		t.Errorf("read %v, error %v", vs, err)
	}
	for what, paths := range map[string][]string{"the same file": {office, office}, "another name": {office, alias},
		"no key": {write("none.vkey", "nonsense")}, "no file": {filepath.Join(dir, "missing")}} {
		if _, err := keys.Verifiers(paths...); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}
