package columnar

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// A racer swaps a file, and the directory it is in, for links to what lies
// outside, while the file is read again and again.
func TestARacerWhoSwapsLinksNeverGetsAByteFromOutside(t *testing.T) {
	swaps := 1_200
	if os.Getenv("BURST_REAL") == "1" {
		swaps = 100_000
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "data"), filepath.Join(dir, "outside")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := bytes.Repeat([]byte("outside"), 1000)
	check(errors.Join(os.MkdirAll(in+"/dir", 0o700), os.MkdirAll(out, 0o700)))
	check(os.WriteFile(out+"/part.csv", secret, 0o600))
	check(os.WriteFile(in+"/dir/part.csv", bytes.Repeat([]byte("inside!"), 1000), 0o600))
	check(os.WriteFile(in+"/dir/keep.csv", bytes.Repeat([]byte("inside!"), 1000), 0o600))
	root, err := os.OpenRoot(in)
	check(err)
	defer root.Close()
	var done atomic.Bool
	raced, good := make(chan error, 1), make(chan bool)
	go func() {
		defer done.Store(true)
		raced <- race(in, out, swaps, good)
	}()
	read, refused := 0, 0
	for !done.Load() {
		var b bytes.Buffer
		_, err := hashFile(root, "dir/part.csv", &b)
		if bytes.Contains(b.Bytes(), []byte("outside")) {
			t.Fatalf("%d bytes came from outside, error %v", b.Len(), err)
		}
		if read++; err != nil {
			refused++
			continue
		}
		select {
		case good <- true:
		default:
		}
	}
	check(<-raced)
	if _, err := os.Lstat(in + "/dir.old"); err == nil {
		check(errors.Join(os.Remove(in+"/dir"), os.Rename(in+"/dir.old", in+"/dir")))
	}
	t.Logf("%d swaps, %d reads, %d of them refused", swaps, read, refused)
	if read == refused {
		t.Error("nothing was ever read")
	}
	if _, err := hashFile(root, "dir/keep.csv", io.Discard); err != nil {
		t.Errorf("when the race is over: %v", err)
	}
}

// race swaps by renaming, so that there is always something under the name. Now
// and then it leaves the right file there until it was read.
func race(in, out string, swaps int, good <-chan bool) error {
	part, dir := filepath.Join(in, "dir/part.csv"), filepath.Join(in, "dir")
	for i := range swaps {
		var err error
		switch i % 6 {
		case 0: // the file is a link to outside
			err = errors.Join(os.Symlink(out+"/part.csv", part+".new"), os.Rename(part+".new", part))
		case 1: // a link to another file inside
			err = errors.Join(os.Symlink("keep.csv", part+".new"), os.Rename(part+".new", part))
		case 2: // a file again
			b := bytes.Repeat([]byte("inside!"), 1000)
			err = errors.Join(os.WriteFile(part+".new", b, 0o600), os.Rename(part+".new", part))
		case 3: // the directory is a link to outside
			err = errors.Join(os.Rename(dir, dir+".old"), os.Symlink(out, dir))
		case 4: // and is one again
			err = errors.Join(os.Remove(dir), os.Rename(dir+".old", dir))
		case 5: // the file is a second name of one outside
			err = errors.Join(os.Link(out+"/part.csv", part+".new"), os.Rename(part+".new", part))
		}
		if err != nil {
			return err
		}
		if i%300 == 4 {
			<-good
		}
	}
	return nil
}
