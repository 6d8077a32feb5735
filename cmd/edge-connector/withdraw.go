package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// recalled is what is told of one slice after a withdrawal.
type recalled struct {
	Slice  string `json:"slice"`
	Before string `json:"before"`
	After  string `json:"after,omitempty"`
	State  string `json:"state"` // "unchanged", "built again", or why there is none now
}

// withdrawCommand takes people out of a dataset's slices.
func withdrawCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "withdraw DATASET", Short: "Leave people out of a dataset's slices: one a line, on standard input",
		Long: "Leave people out of every slice of a dataset from now on: consent that was withdrawn. Their values of the\n" +
			"table's subject column are read from standard input, one a line, and kept as keyed hashes. Slices that are\n" +
			"built are built again, and what they were is removed, or held under a legal hold (slices held). Call bursts of\n" +
			"slices that changed back with burstctl recall.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var names []string
			in := bufio.NewScanner(c.InOrStdin())
			for in.Scan() {
				if in.Text() != "" {
					names = append(names, in.Text())
				}
			}
			if err := in.Err(); err != nil {
				return frame.Wrap(frame.FileFailed, fmt.Errorf("read names: %w", err), "")
			}
			return withdraw(c, path, args[0], names)
		},
	}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file; configs/edge.yaml explains it")
	return c
}

// withdraw finds the dataset and tells what became of its slices.
func withdraw(c *cobra.Command, path, dataset string, names []string) error {
	var done bool
	var rows []recalled
	var failed error
	err := eachSlice(c.Context(), path, nil, func(_ *residency.Catalogue, s *columnar.Store, d residency.Dataset,
		_ residency.SliceSpec) error {
		if done || d.ID != dataset {
			return nil
		}
		done = true
		all, err := s.Withdraw(d, names)
		for _, r := range all {
			rows = append(rows, recalled{r.Slice, r.Before, r.After, state(r)})
			if !errors.Is(r.Err, columnar.ErrNotNow) {
				failed = errors.Join(failed, r.Err)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if !done {
		err := fmt.Errorf("withdraw from %s: the catalogue has no such dataset", frame.Clean(dataset))
		return frame.Wrap(frame.SliceMissing, err, "")
	}
	err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Withdrawal", rows, func(w io.Writer) error {
		var cells [][]string
		for _, r := range rows {
			cells = append(cells, []string{r.Slice, r.State, r.Before, r.After})
		}
		return frame.Rows(w, []string{"slice", "state", "before", "after"}, cells)
	})
	return errors.Join(err, coded(failed))
}

// state words what became of one slice.
func state(r columnar.Recalled) string {
	switch {
	case r.Kept && r.Err == nil:
		return "built again; what it was is held: legal hold"
	case r.Kept:
		return errors.Unwrap(r.Err).Error() + "; what it was is held: legal hold"
	case r.Err != nil:
		return errors.Unwrap(r.Err).Error()
	case r.Before == r.After:
		return "unchanged"
	}
	return "built again"
}
