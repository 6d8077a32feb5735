package audit

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestTesserasFsckAcceptsTheLogAndFindsAFlippedByte(t *testing.T) {
	h, _ := sealed(t, 3, 700)
	v, err := note.NewVerifier(h.vkey)
	check(t, err)
	leaves := func(bundle []byte) ([][]byte, error) {
		var hashes [][]byte
		for len(bundle) > 0 {
			n := 2 + int(binary.BigEndian.Uint16(bundle))
			hash := tlog.RecordHash(bundle[2:n])
			hashes = append(hashes, hash[:])
			bundle = bundle[n:]
		}
		return hashes, nil
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(h.o.Dir)))
	defer srv.Close()
	at, err := url.Parse(srv.URL + "/")
	check(t, err)
	web, err := client.NewHTTPFetcher(at, srv.Client())
	check(t, err)
	check(t, fsck.New(h.o.Origin, v, web, leaves, fsck.Opts{N: 2}).Check(t.Context()))
	files := client.FileFetcher{Root: h.o.Dir}
	check(t, fsck.New(h.o.Origin, v, files, leaves, fsck.Opts{N: 2}).Check(t.Context()))
	name := filepath.Join(h.o.Dir, "tile", "entries", "001")
	b, err := os.ReadFile(name)
	check(t, err)
	b[1000] ^= 1
	check(t, os.WriteFile(name, b, 0o644))
	if err := fsck.New(h.o.Origin, v, files, leaves, fsck.Opts{N: 2}).Check(t.Context()); err == nil {
		t.Fatal("fsck did not see the flipped byte: the test proves nothing")
	}
}

// sumdbVerify checks a log with golang.org/x/mod/sumdb alone: nothing of this package.
func sumdbVerify(dir, vkey string) (int64, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return 0, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return 0, err
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return 0, err
	}
	var origin, root string
	var size int64
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &size, &root); err != nil || origin != v.Name() {
		return 0, fmt.Errorf("checkpoint of %q: %w", origin, err)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var hs []tlog.Hash
		for _, i := range at {
			hs = append(hs, stored[i])
		}
		return hs, nil
	})
	for i := int64(0); i < size; {
		t := tlog.Tile{H: 8, L: -1, N: i / 256, W: int(min(256, size-i))}
		b, err := os.ReadFile(filepath.Join(dir, strings.Replace(t.Path(), "tile/8/data/", "tile/entries/", 1)))
		if err != nil {
			return 0, err
		}
		for ; len(b) > 1; i++ {
			end := 2 + int(binary.BigEndian.Uint16(b))
			hs, err := tlog.StoredHashes(i, b[2:end], reader)
			if err != nil {
				return 0, err
			}
			stored, b = append(stored, hs...), b[end:]
		}
	}
	got, err := tlog.TreeHash(size, reader)
	if err == nil && got.String() != root {
		err = fmt.Errorf("root %v, checkpoint says %s", got, root)
	}
	return size, err
}

func TestSumdbAloneVerifiesTheLog(t *testing.T) {
	h, _ := sealed(t, 3, 700)
	n, err := sumdbVerify(h.o.Dir, h.vkey)
	check(t, err)
	if n != 700 {
		t.Fatalf("%d entries", n)
	}
	name := filepath.Join(h.o.Dir, "tile", "entries", "001")
	b, err := os.ReadFile(name)
	check(t, err)
	b[1000] ^= 1
	check(t, os.WriteFile(name, b, 0o644))
	if _, err := sumdbVerify(h.o.Dir, h.vkey); err == nil {
		t.Fatal("a flipped byte was accepted")
	}
}
