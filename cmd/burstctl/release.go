package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/tunnel/control"
)

// releaseCommand is the decision of a named person that a result may leave
// quarantine. The log has it; whoever empties the quarantine on site looks there.
func releaseCommand() *cobra.Command {
	c := deedCommand("release CLAIM NAME", "Let a result out of quarantine: your decision, entered with your name",
		control.ActionRelease, 2)
	_ = c.MarkFlagRequired("reason")
	return c
}

// artefactsCommand lists what bursts returned.
func artefactsCommand() *cobra.Command {
	var k caller
	c := &cobra.Command{
		Use:   "artefacts",
		Short: "List what bursts returned to their sites, and what of it was released",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			type result struct {
				Claim string `json:"claim"`
				control.ArtefactInfo
			}
			results, rows := []result{}, [][]string{}
			for _, b := range s.Bursts {
				for _, a := range b.Artefacts {
					state := "in quarantine"
					if a.Released {
						state = "released"
					}
					results = append(results, result{b.Claim, a})
					rows = append(rows, []string{b.Claim, a.Name, size(a.Bytes), a.Class, state, a.Digest})
				}
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "ArtefactList", results, func(w io.Writer) error {
				return frame.Rows(w, []string{"claim", "name", "size", "class", "state", "digest"}, rows)
			})
		},
	}
	k.flags(c)
	return c
}
