package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency/audit"
)

// Key signs, and has the text of its verifier key. Made by [Open]; the zero
// Key signs nothing.
type Key struct {
	note.Signer
	VKey string
}

// Held reports whether the key file holds a secret and not a reference to
// where the key is kept. It refuses a file that others may read.
func Held(path string) (bool, error) {
	b, err := secret(path)
	return strings.HasPrefix(string(b), "PRIVATE+KEY+"), err
}

// Open reads the secret of a role, one of the audit package's Role constants.
func Open(path, role string) (Key, error) {
	skey, err := Text(path)
	if err != nil {
		return Key{}, err
	}
	vkey, err := audit.VerifierKey(role, skey)
	if err != nil {
		return Key{}, fmt.Errorf("read key %s: not a note signer's key", path) // the cause could quote it
	}
	var s note.Signer
	if role == audit.RoleWitness {
		s, err = audit.NewWitnessSigner(skey)
	} else {
		s, err = note.NewSigner(skey)
	}
	if err != nil {
		return Key{}, fmt.Errorf("read key %s: not a note signer's key", path)
	}
	return Key{s, vkey}, nil
}

// names are the files about one key: "log.key" has log.vkey beside it, and
// while it is rotated log.next.key and log.next.vkey.
type names struct{ key, vkey, next, nextV string }

func namesOf(path string) names {
	base := strings.TrimSuffix(path, ".key")
	return names{path, base + ".vkey", base + ".next.key", base + ".next.vkey"}
}

// Public is where the verifier key of the key file lies.
func Public(path string) string { return namesOf(path).vkey }

// Prepare makes the next key of the holder of vkey and returns its file. One
// that lies there already is taken: from a rotation that was cut short, or put
// there by an operator who keeps the key elsewhere. Both files are durable when
// it returns, so that a key which has signed is never lost.
func Prepare(path, role, vkey string) (string, error) {
	n := namesOf(path)
	if _, err := os.Lstat(n.next); errors.Is(err, fs.ErrNotExist) {
		name, _, _ := strings.Cut(vkey, "+")
		generate := audit.GenerateLogKey
		if role == audit.RoleWitness {
			generate = audit.GenerateWitnessKey
		}
		skey, _, err := generate(name)
		if err != nil {
			return "", fmt.Errorf("make next key: %w", err)
		}
		if err := place(n.next, []byte(skey+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("make next key: %w", err)
		}
	}
	held, err := Held(n.next)
	if err != nil || !held {
		return n.next, err
	}
	next, err := Open(n.next, role)
	if err != nil {
		return "", err
	}
	if err := place(n.nextV, []byte(next.VKey+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("make next key: %w", err)
	}
	return n.next, nil
}

// Adopt puts the next key in the place of the present one, whose verifier key
// is vkey and which is kept aside as superseded. Cut short, it is finished by
// [Settle].
func Adopt(path, vkey string) error {
	n := namesOf(path)
	_, rest, _ := strings.Cut(vkey, "+")
	hash, _, _ := strings.Cut(rest, "+")
	aside := strings.TrimSuffix(path, ".key") + "." + hash + ".superseded"
	err := place(aside+".vkey", []byte(vkey+"\n"), 0o644)
	if err == nil {
		if err = os.Link(path, aside+".key"); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err == nil {
		err = os.Rename(n.next, n.key)
	}
	if err == nil {
		err = os.Rename(n.nextV, n.vkey)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("put next key in place: %w", err)
	}
	return nil
}

// Settle finishes a rotation that was cut short, if the log has it: entered is
// asked about the next verifier key. A next key the log does not know stays
// where it is, for the next rotation.
func Settle(path string, entered func(vkey string) bool) error {
	n := namesOf(path)
	next, err := VKey(n.nextV)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(n.next); errors.Is(err, fs.ErrNotExist) { // cut between the two renames
		if err := os.Rename(n.nextV, n.vkey); err != nil {
			return fmt.Errorf("put next key in place: %w", err)
		}
		return syncDir(filepath.Dir(path))
	}
	if !entered(next) {
		return nil
	}
	present, err := VKey(n.vkey)
	if err != nil {
		return err
	}
	return Adopt(path, present)
}

// Superseded are the verifier keys that a key file had before.
func Superseded(path string) (vkeys []string, err error) {
	files, err := filepath.Glob(strings.TrimSuffix(path, ".key") + ".*.superseded.vkey")
	if err != nil {
		return nil, fmt.Errorf("read superseded keys: %w", err)
	}
	for _, f := range files {
		vkey, err := VKey(f)
		if err != nil {
			return nil, err
		}
		vkeys = append(vkeys, vkey)
	}
	return vkeys, nil
}

// place writes a file whole and durably, by rename.
func place(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
