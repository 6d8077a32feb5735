package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

func TestAControllerTakesATableOnlyIfEnoughKeysHaveSigned(t *testing.T) {
	dir := t.TempDir()
	var signers []note.Signer
	var paths []string
	for _, name := range []string{"office", "council"} {
		skey, vkey, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := note.NewSigner(skey)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".vkey")
		if err := os.WriteFile(path, []byte(vkey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		signers, paths = append(signers, s), append(paths, path)
	}
	file := filepath.Join(dir, "places.note")
	for _, tc := range []struct {
		what string
		by   []note.Signer
		keys []string
		need int
		ok   bool
	}{
		{"both sign, both are named", signers, paths, 0, true},
		{"both sign, one is named", signers, paths[:1], 0, true},
		{"one signs, both are named", signers[:1], paths, 0, false},
		{"one signs, the other is named", signers[:1], paths[1:], 0, false},
		{"one key is named twice", signers, []string{paths[0], paths[0]}, 0, false},
		{"one of two signs, and one suffices", signers[:1], paths, 1, true},
		{"one of two signs, and two are asked for", signers[:1], paths, 2, false},
		{"one key is named twice, and one suffices", signers, []string{paths[0], paths[0]}, 1, false},
		{"nobody who is named signs, and one suffices", signers[:1], paths[1:], 1, false},
	} {
		signed, err := residency.SignTable(places.CSV, tc.by...)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, signed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readPlaces(configs.Places{Table: file, Keys: tc.keys, Threshold: tc.need}); (err == nil) != tc.ok {
			t.Errorf("%s: error %v", tc.what, err)
		}
	}
}
