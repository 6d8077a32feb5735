package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/audit"
)

// arrows says between whom each kind of entry stands in a drawing.
var arrows = map[string][2]string{
	"requested": {"edge", "controller"}, "decided": {"controller", "controller"},
	"launch-intent": {"controller", "log"}, "launched": {"cloud", "controller"}, "launch-failed": {"cloud", "controller"},
	"proven": {"node", "controller"}, "unproven": {"node", "controller"},
	"cleared": {"controller", "log"}, "denied": {"controller", "log"}, "break-glass-used": {"controller", "log"},
	"issue-intent": {"controller", "log"}, "issued": {"issuer", "node"},
	"serve-intent": {"edge", "log"}, "serve-outcome": {"edge", "node"},
	"round-trip": {"edge", "node"}, "turned-away": {"edge", "node"}, "released": {"controller", "log"},
	"artefact-flagged": {"controller", "log"}, "artefact-cleared": {"controller", "log"},
	"handed-out": {"edge", "log"}, "withheld": {"edge", "log"},
	"job-started": {"node", "controller"}, "job-progress": {"node", "controller"}, "artefact": {"node", "edge"},
	"stop": {"controller", "node"}, "unmounted": {"node", "controller"},
	"revoke-intent": {"controller", "log"}, "revoked": {"controller", "issuer"}, "probed": {"node", "controller"},
	"delete-intent": {"controller", "log"}, "gone": {"cloud", "controller"},
	"settled": {"controller", "log"}, "ended": {"controller", "log"},
}

func auditDraw() *cobra.Command {
	var claim string
	c := &cobra.Command{
		Use:   "draw DIR",
		Short: "Draw one burst's entries as a Mermaid sequence diagram",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			leaves, err := readLog(c.Context(), args[0])
			if err != nil {
				return err
			}
			if claim == "" {
				claim = firstGranted(leaves)
			}
			if claim == "" {
				return frame.Wrap(frame.NoSuchClaim, fmt.Errorf("draw %s: it holds no burst", args[0]), "name one with --claim")
			}
			return draw(c.OutOrStdout(), leaves, claim)
		},
	}
	c.Flags().StringVar(&claim, "claim", "", "the burst; without it the first that got a grant")
	return c
}

// firstGranted is the first claim that was cleared, else the first of all.
func firstGranted(leaves []audit.Leaf) string {
	first := ""
	for _, l := range leaves {
		if l.Entry.Kind == "cleared" {
			return l.Entry.Burst
		}
		first = cmp.Or(first, l.Entry.Burst)
	}
	return first
}

// draw writes the diagram. Progress is drawn once, and repeated windows too:
// the log has them all.
func draw(w io.Writer, leaves []audit.Leaf, claim string) error {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	for _, p := range []string{"edge", "controller", "log", "issuer", "cloud", "node"} {
		fmt.Fprintf(&b, "    participant %s\n", p)
	}
	drawn := map[string]bool{}
	for _, leaf := range leaves {
		kind := leaf.Entry.Kind
		a, ok := arrows[kind]
		repeated := slices.Contains([]string{"job-progress", "round-trip", "serve-intent", "serve-outcome"}, kind)
		if leaf.Entry.Burst != claim || !ok || (repeated && drawn[kind]) {
			continue
		}
		drawn[kind] = true
		text := strings.NewReplacer(";", ",", "#", "", "\n", " ").Replace(tell(leaf).Text)
		fmt.Fprintf(&b, "    %s->>%s: %d %s\n", a[0], a[1], leaf.Index, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
