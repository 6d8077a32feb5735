package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// kept is what is told of one thing that a legal hold kept.
type kept struct {
	columnar.Kept
	State string          `json:"state"`          // "held", "may be discarded", "discarded" or "not in the catalogue"
	Hold  *residency.Hold `json:"hold,omitempty"` // that stands
}

// heldCommand shows and removes what legal holds kept from withdrawals.
func heldCommand() *cobra.Command {
	c := &cobra.Command{Use: "held",
		Short: "List what legal holds kept from withdrawals, and discard it once they are lifted"}
	c.AddCommand(heldVerb("list", "List what is kept, and whether its legal hold stands", cobra.NoArgs,
		func(s *columnar.Store, sets []residency.Dataset, _ []string) ([]kept, error) {
			all, err := s.Kept()
			rows := []kept{}
			for _, k := range all {
				rows = append(rows, standing(k, sets))
			}
			return rows, err
		}),
		heldVerb("discard DATASET", "Remove what is kept of a dataset; refused while its legal hold stands",
			cobra.ExactArgs(1), discard))
	return c
}

// discard removes what is kept of the dataset that is named.
func discard(s *columnar.Store, sets []residency.Dataset, args []string) ([]kept, error) {
	i := slices.IndexFunc(sets, func(d residency.Dataset) bool { return d.ID == args[0] })
	if i < 0 {
		err := fmt.Errorf("discard what is kept of %s: the catalogue has no such dataset", frame.Clean(args[0]))
		return nil, frame.Wrap(frame.SliceMissing, err, "a dataset that is gone has nobody to say that its hold was lifted")
	}
	gone, err := s.Discard(sets[i])
	if err != nil && sets[i].Hold != nil {
		err = frame.Wrap(frame.SliceRefused, err, "once the hold is lifted, take hold out of the catalogue first")
	}
	rows := []kept{}
	for _, k := range gone {
		rows = append(rows, kept{Kept: k, State: "discarded"})
	}
	return rows, err
}

// standing says of what is kept whether its hold stands.
func standing(k columnar.Kept, sets []residency.Dataset) kept {
	for _, d := range sets {
		switch {
		case d.ID == k.Dataset && d.Hold != nil:
			return kept{k, "held", d.Hold}
		case d.ID == k.Dataset:
			return kept{k, "may be discarded", nil}
		}
	}
	return kept{k, "not in the catalogue", nil}
}

// heldVerb does work with what is kept.
func heldVerb(use, short string, args cobra.PositionalArgs,
	do func(*columnar.Store, []residency.Dataset, []string) ([]kept, error)) *cobra.Command {
	var path string
	c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
		rows := []kept{}
		err := withStore(c.Context(), path, func(sets []residency.Dataset, _ *residency.Catalogue, s *columnar.Store) error {
			var err error
			rows, err = do(s, sets, args)
			return err
		})
		if len(rows) == 0 && err != nil {
			return err
		}
		return errors.Join(err, frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Held", rows, func(w io.Writer) error {
			var cells [][]string
			for _, r := range rows {
				hold := ""
				if r.Hold != nil {
					hold = r.Hold.String()
				}
				cells = append(cells, []string{r.Dataset, r.Slice, r.State, fmt.Sprint(r.Bytes), r.Digest, hold})
			}
			return frame.Rows(w, []string{"dataset", "slice", "state", "bytes", "manifest", "hold"}, cells)
		}))
	}}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file; configs/edge.yaml explains it")
	return c
}

// withStore opens a site's catalogue and slices for do.
func withStore(ctx context.Context, path string,
	do func([]residency.Dataset, *residency.Catalogue, *columnar.Store) error) error {
	conf, err := configs.ReadEdge(path)
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	sets, err := configs.ReadCatalogue(conf.Catalogue)
	if err != nil {
		return frame.Wrap(frame.BadCatalogue, err, "")
	}
	cat, err := residency.NewCatalogue(sets)
	if err != nil {
		return frame.Wrap(frame.BadCatalogue, err, "")
	}
	store, err := site.OpenSlices(ctx, conf)
	if err != nil {
		return coded(err)
	}
	defer store.Close()
	return coded(do(sets, cat, store))
}
