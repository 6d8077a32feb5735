package perform

import (
	"errors"
	"fmt"

	"github.com/burstctl/burstctl/residency/audit"
)

// ErrEdition: the place table is an older one than was in force before. Its
// signature is good, and so was what it has been replaced for.
var ErrEdition = errors.New("place table is older than the one that was in force")

// newEnough refuses a place table of an older edition.
func (e *Engine) newEnough(in InForce) error {
	if v := in.Places.Version(); v < e.edition {
		return fmt.Errorf("take place table of version %d, version %d is in the log: %w", v, e.edition, ErrEdition)
	}
	return nil
}

// foldLaw remembers the newest edition that was in force.
func (e *Engine) foldLaw(leaf audit.Leaf) error {
	var l law
	if err := audit.DecodeStrict(leaf.Entry.Body, &l); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	e.edition = max(e.edition, l.Edition)
	return nil
}
