package keys

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency"
)

// Verifiers reads verifier keys of which each is to count for itself. The same
// key twice, be it under two names, is an error.
func Verifiers(paths ...string) ([]note.Verifier, error) {
	vs := make([]note.Verifier, 0, len(paths))
	seen := map[string]string{}
	for _, path := range paths {
		vkey, err := VKey(path)
		if err != nil {
			return nil, err
		}
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", path, err)
		}
		key := strings.SplitN(vkey, "+", 3)[2] // of name, hash and key
		if other, twice := seen[key]; twice {
			return nil, fmt.Errorf("read key %s: it is the key in %s, and would count twice", path, other)
		}
		seen[key] = path
		vs = append(vs, v)
	}
	return vs, nil
}

// Approvers reads the verifier keys of those who may approve exceptions.
// Without a path nobody may.
func Approvers(paths ...string) (residency.Approvers, error) {
	vkeys := make([]string, 0, len(paths))
	for _, path := range paths {
		vkey, err := VKey(path)
		if err != nil {
			return residency.Approvers{}, err
		}
		vkeys = append(vkeys, vkey)
	}
	a, err := residency.NewApprovers(vkeys...)
	if err != nil {
		return residency.Approvers{}, fmt.Errorf("read approvers: %w", err)
	}
	return a, nil
}
