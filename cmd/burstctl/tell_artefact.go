package main

import (
	"fmt"

	"github.com/burstctl/burstctl/pools/burst"
)

// tellArtefact tells what became of a result.
func tellArtefact(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Artefact:
		return fmt.Sprintf("%s returned by the tunnel: %s, class %s, in quarantine", b.Name, size(b.Bytes), b.Class),
			[]string{"digest " + b.Digest}
	case *burst.Release:
		return "released from quarantine: " + b.Name + ", because " + b.Reason, []string{"digest " + b.Digest}
	case *burst.Flag:
		return fmt.Sprintf("%s is flagged: what it was made from was called back in entry %d, because %s", b.Name, b.Recall,
			b.Reason), []string{"digest " + b.Digest}
	case *burst.Unflag:
		return "flag of " + b.Name + " cleared, because " + b.Reason, []string{"digest " + b.Digest}
	case *burst.HandedOut:
		return fmt.Sprintf("%s left quarantine, as entry %d released it", b.Name, b.Release), []string{"digest " + b.Digest}
	case *burst.Withheld:
		return b.Name + " stays in quarantine although it is released: " + b.Why, []string{"digest " + b.Digest}
	}
	return "", nil
}
