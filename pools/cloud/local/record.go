package local

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// asked is what a host is told: the file in asked/. Made by Launch before the
// host is started, never changed; its lock is the node's life.
type asked struct {
	ID          string        `json:"id"`
	Token       string        `json:"token"`
	Launch      pools.Launch  `json:"launch"`
	NodeCommand []string      `json:"node_command"`
	Env         []string      `json:"env"`
	Namespaces  bool          `json:"namespaces"`
	Lifeline    bool          `json:"lifeline"`
	Boot        time.Duration `json:"boot"`
	KeyFile     string        `json:"key_file"`
}

// record is what the provider knows of a node: the file in nodes/, made by its
// host once the doors are open, and moved to gone/ once nobody holds the node.
type record struct {
	ID       string       `json:"id"`
	Token    string       `json:"token"`
	Launch   pools.Launch `json:"launch"`
	PID      int          `json:"pid"`   // of the host
	Start    string       `json:"start"` // when that process began, in clock ticks since boot
	Reach    string       `json:"reach"`
	Launched time.Time    `json:"launched"`
	Running  time.Time    `json:"running"` // from when on it is no longer pending
	Ended    time.Time    `json:"ended"`   // zero while it runs
	Why      string       `json:"why"`
}

// idOf names the node of a claim's attempt: there can be only one.
func idOf(claim string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d", claim, attempt))
	return "i-" + hex.EncodeToString(sum[:5])
}

// isID reports whether s has the form of an id; nothing else becomes a path.
func isID(s string) bool {
	h, ok := strings.CutPrefix(s, "i-")
	return ok && len(h) == 10 && strings.Trim(h, "0123456789abcdef") == ""
}

// dir is the provider's directory.
type dir string

func (d dir) path(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}
func (d dir) askedFile(id string) string { return d.path("asked", id+".json") }
func (d dir) nodeFile(id string) string  { return d.path("nodes", id+".json") }
func (d dir) goneFile(id string) string  { return d.path("gone", id+".json") }
func (d dir) stopFile(id string) string  { return d.path("nodes", id+".stop") }
func (d dir) bootFile(id string) string  { return d.path("nodes", id+".boot") }
func (d dir) logFile(id string) string   { return d.path("nodes", id+".log") }
func (d dir) scratch(id string) string   { return d.path("scratch", id) }

// make makes what is missing.
func (d dir) make() error {
	for _, sub := range []string{"asked", "nodes", "gone", "scratch"} {
		if err := os.MkdirAll(d.path(sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// readKey reads the provider's key, which nobody else may be able to read.
func readKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read provider's key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read provider's key: %s has mode %v, want 0600", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read provider's key: %w", err)
	}
	if block, _ := pem.Decode(b); block != nil {
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if priv, ok := k.(ed25519.PrivateKey); ok {
				return priv, nil
			}
		}
	}
	return nil, fmt.Errorf("read provider's key: %s holds no Ed25519 key", path)
}

// bury ends the record of a node that nobody holds any more: gone is written before the node's file goes, so that at
// no moment it is in neither. Burying twice is no change.
func (d dir) bury(id string) error {
	var r record
	switch err := read(d.nodeFile(id), &r); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if _, err := os.Stat(d.goneFile(id)); errors.Is(err, fs.ErrNotExist) {
		if r.Ended.IsZero() {
			r.Ended, r.Why = time.Now().UTC(), "its host died"
		}
		if err := save(d.goneFile(id), r, os.Rename); err != nil {
			return err
		}
	}
	for _, path := range []string{d.stopFile(id), d.bootFile(id), d.nodeFile(id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(d.scratch(id))
}

// save writes v durably. With os.Link an existing file is an error, with
// os.Rename it is replaced.
func save(path string, v any, place func(from, to string) error) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return write(path, append(b, '\n'), place)
}

// write puts b at path: whole or not at all, and on the disk when it returns.
func write(path string, b []byte, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// read reads what save wrote; unknown fields and trailing bytes are errors.
func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	r := json.NewDecoder(bytes.NewReader(b))
	r.DisallowUnknownFields()
	if err := r.Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if r.More() {
		return fmt.Errorf("read %s: more than one value", path)
	}
	return nil
}

// started is when a process began, in clock ticks since boot; "" if there is none.
func started(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name in parentheses may hold anything; field 22 is the 20th behind it.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}
