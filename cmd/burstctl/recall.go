package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel/control"
)

// calledBack is what a recall found to do.
type calledBack struct {
	Claims  []string `json:"claims"`  // bursts that were alive
	Flagged []result `json:"flagged"` // outputs that are flagged now
}

// recallCommand ends every burst that reads, or may yet read, what is called
// back, and flags what earlier ones made of it: consent that was withdrawn, an
// embargo, an error.
func recallCommand() *cobra.Command {
	var k caller
	var reason, digest string
	c := &cobra.Command{
		Use:   "recall DATASET[/SLICE]",
		Short: "Call data back: end every burst that reads it, and flag every result that was made from it",
		Long: "Call data back. The recall is entered; then every burst that reads it or was granted it ends, with its\n" +
			"revocation and probe, and every result of such a burst is flagged, however long it is over. A flagged one\n" +
			"is not released until a person has cleared it (burstctl artefacts clear). With --slice-digest only bursts of\n" +
			"that manifest are meant, as \"edge-connector slices withdraw\" tells it, and it is never granted again.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, before, err := k.status(c.Context())
			if err != nil {
				return err
			}
			what := strings.TrimSpace(args[0] + " " + digest)
			if err := client.Do(c.Context(), control.ActionRecall, what, reason); err != nil {
				return refusal(err)
			}
			after, err := client.Status(c.Context())
			if err != nil {
				return refusal(err)
			}
			found := compare(before, after, args[0], digest)
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Recall", found, found.print)
		},
	}
	k.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why; entered in the log, so no personal data")
	c.Flags().StringVar(&digest, "slice-digest", "", "only what read the slice of this manifest")
	_ = c.MarkFlagRequired("reason")
	return c
}

// compare says what a recall has changed.
func compare(before, after control.Status, named, digest string) calledBack {
	found := calledBack{Claims: []string{}, Flagged: []result{}}
	covered := map[string]bool{}
	for _, b := range before.Bursts {
		covered[b.Claim] = covers(named, b.Slice) && (digest == "" || digest == b.SliceDigest)
		if covered[b.Claim] && b.Phase != string(burst.Ended) {
			found.Claims = append(found.Claims, b.Claim)
		}
	}
	for _, a := range results(after) {
		if covered[a.Claim] && a.Flagged != "" {
			found.Flagged = append(found.Flagged, a)
		}
	}
	return found
}

func (f calledBack) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d bursts called back: %s\n", len(f.Claims), strings.Join(f.Claims, " "))
	for _, a := range f.Flagged {
		_, err = fmt.Fprintf(w, "flagged: %s of %s, %s\n", frame.Clean(a.Name), a.Claim, a.state())
	}
	return err
}

// covers reports whether a slice is what is named, or of the dataset that is.
func covers(named, slice string) bool {
	return slice == named || strings.HasPrefix(slice, named+"/")
}
