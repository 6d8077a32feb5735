package busserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// open reads the public part of the authority in dir, and that it hangs together.
func open(dir string) (authority, error) {
	var a authority
	if dir == "" {
		return a, errors.New("read bus authority: no directory is given")
	}
	for name, into := range map[string]*string{"operator": &a.operator, "system": &a.system, "burst": &a.burst} {
		text, err := os.ReadFile(filepath.Join(dir, name+".jwt"))
		if err != nil {
			return a, fmt.Errorf("read bus authority: %w", err)
		}
		*into = strings.TrimSpace(string(text))
	}
	operator, err := jwt.DecodeOperatorClaims(a.operator)
	if err != nil {
		return a, fmt.Errorf("read bus authority: operator: %w", err)
	}
	for text, key := range map[string]*string{a.system: &a.systemKey, a.burst: &a.burstKey} {
		account, err := jwt.DecodeAccountClaims(text)
		if err != nil {
			return a, fmt.Errorf("read bus authority: account: %w", err)
		}
		if account.Issuer != operator.Subject {
			return a, fmt.Errorf("read bus authority: account %s is not signed by this operator", account.Name)
		}
		*key = account.Subject
	}
	return a, nil
}

// seed reads a key, or makes it where there is none.
func seed(dir, name string, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	kp, err := readSeed(dir, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return kp, err
	}
	if kp, err = create(); err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	text, err := kp.Seed()
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	return kp, write(seedFile(dir, name), text, 0o600)
}

func seedFile(dir, name string) string { return filepath.Join(dir, "keys", name+".seed") }

func readSeed(dir, name string) (nkeys.KeyPair, error) {
	path := seedFile(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key %s: mode is %v, others can read it; chmod 600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	kp, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(text))))
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return kp, nil
}

// public is the public key of a pair that was just made or read from a seed.
func public(kp nkeys.KeyPair) string {
	key, err := kp.PublicKey()
	if err != nil {
		return "" // cannot be of a pair with a seed; encoding claims for "" errs
	}
	return key
}

// write replaces a file whole: all of it is there and synced, or none.
func write(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
