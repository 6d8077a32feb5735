package columnar

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Key makes codes for names, and commitments. It stays on site: who has it can
// find a person's code again. Made by [ReadKey] or [NewKey]; the zero Key is
// refused by all that take one.
type Key struct{ secret []byte }

// String hides the key.
func (k Key) String() string { return "pseudonym key " + k.ID() }

// GoString hides the key.
func (k Key) GoString() string { return k.String() }

// known reports whether there is a key.
func (k Key) known() bool { return len(k.secret) == sha256.Size }

// ID names the key by 16 hexadecimal digits that do not tell it; "" if zero.
func (k Key) ID() string {
	if !k.known() {
		return ""
	}
	return hex.EncodeToString(k.mac("name of the key")[:8])
}

// mac is HMAC-SHA-256 over the parts, each with its length before it.
func (k Key) mac(parts ...string) []byte {
	m := hmac.New(sha256.New, k.secret)
	for _, p := range parts {
		fmt.Fprintf(m, "%d:%s", len(p), p)
	}
	return m.Sum(nil)
}

// commit binds text without telling it: "hmac-sha256:…".
func (k Key) commit(what string, text []byte) string {
	return "hmac-sha256:" + hex.EncodeToString(k.mac("commitment", what, string(text)))
}

// Pseudonym is the code of a value: 128 bits of HMAC-SHA-256, in hexadecimal.
// The same value has the same code throughout a column of a dataset, whatever
// the file, format or slice, and another one elsewhere.
func (k Key) Pseudonym(dataset, column, value string) string {
	return hex.EncodeToString(k.mac("pseudonym", dataset, column, value)[:16])
}

// NewKey writes a fresh key to a file that must not exist: 64 hexadecimal
// digits, mode 0600.
func NewKey(path string) (Key, error) {
	k := Key{make([]byte, sha256.Size)}
	rand.Read(k.secret)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Key{}, fmt.Errorf("make pseudonym key: %w", err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(k.secret))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Key{}, fmt.Errorf("make pseudonym key: %w", err)
	}
	return k, nil
}

// ReadKey reads what NewKey writes. Others than the owner must not be able to
// read it, and it must not be a link.
func ReadKey(path string) (Key, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Key{}, fmt.Errorf("read pseudonym key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("read pseudonym key: %w", err)
	case !info.Mode().IsRegular():
		return Key{}, fmt.Errorf("read pseudonym key %s: not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return Key{}, fmt.Errorf("read pseudonym key %s: mode %#o lets others read it, want 0600", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return Key{}, fmt.Errorf("read pseudonym key: %w", err)
	}
	secret, err := hex.DecodeString(strings.TrimSuffix(string(b), "\n"))
	if err != nil || len(secret) != sha256.Size {
		return Key{}, fmt.Errorf("read pseudonym key %s: not 64 hexadecimal digits", path)
	}
	return Key{secret}, nil
}
