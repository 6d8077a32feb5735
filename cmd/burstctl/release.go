package main

import (
	"cmp"
	"io"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/tunnel/control"
)

// releaseCommand is the decision of a named person that a result may leave
// quarantine. The log has it; the site sees it there and moves the result.
func releaseCommand() *cobra.Command {
	c := deedCommand("release CLAIM NAME", "Let a result out of quarantine: your decision, entered with your name",
		control.ActionRelease, 2)
	_ = c.MarkFlagRequired("reason")
	return c
}

// clearCommand is the decision of a named person that a flagged result may be
// released after all.
func clearCommand() *cobra.Command {
	c := deedCommand("clear CLAIM NAME", "Clear the flag of a result whose data was called back: your decision",
		control.ActionClear, 2)
	_ = c.MarkFlagRequired("reason")
	return c
}

// artefactsCommand lists what bursts returned.
func artefactsCommand() *cobra.Command {
	var k caller
	c := &cobra.Command{
		Use:   "artefacts",
		Short: "List what bursts returned to their sites: in quarantine, flagged, released, moved out",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			results, rows := results(s), [][]string{}
			for _, a := range results {
				rows = append(rows, []string{a.Claim, a.Name, size(a.Bytes), a.Class, a.state(), a.Digest})
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "ArtefactList", results, func(w io.Writer) error {
				return frame.Rows(w, []string{"claim", "name", "size", "class", "state", "digest"}, rows)
			})
		},
	}
	k.flags(c)
	c.AddCommand(clearCommand())
	return c
}

// result is one output with the claim of its burst.
type result struct {
	Claim string `json:"claim"`
	control.ArtefactInfo
}

// results lists every output of every burst.
func results(s control.Status) []result {
	all := []result{}
	for _, b := range s.Bursts {
		for _, a := range b.Artefacts {
			all = append(all, result{b.Claim, a})
		}
	}
	return all
}

// state is where a result is, and what speaks against it.
func (r result) state() string {
	at := map[bool]string{true: "released", false: "in quarantine"}[r.Released]
	switch {
	case r.Out:
		at = "released, moved out"
	case r.Withheld != "":
		at = "released, withheld: " + r.Withheld
	}
	return cmp.Or(map[bool]string{true: at + "; flagged: " + r.Flagged}[r.Flagged != ""], at)
}
