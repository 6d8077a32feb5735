package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// slicesCommand makes and checks what the site serves.
func slicesCommand() *cobra.Command {
	c := &cobra.Command{Use: "slices", Short: "Make the slices of the catalogue, and look at them"}
	c.AddCommand(slicesVerb("build [SLICE...]", "Make slices of the files that are there", cobra.ArbitraryArgs,
		func(s *columnar.Store, d residency.Dataset, spec residency.SliceSpec) (columnar.Built, error) {
			return s.Build(d, spec)
		}),
		slicesVerb("verify [SLICE...]", "Check every byte, the version's files, and that made again they are the same",
			cobra.ArbitraryArgs,
			func(s *columnar.Store, d residency.Dataset, spec residency.SliceSpec) (columnar.Built, error) {
				return s.Verify(d, spec)
			}),
		slicesVerb("list", "List the slices of the catalogue and what is built", cobra.NoArgs, looked),
		inspectCommand(), withdrawCommand(), heldCommand(), keyCommand())
	return c
}

// row is what is told of one slice.
type row struct {
	Slice    string          `json:"slice"`
	Class    residency.Class `json:"class"`
	State    string          `json:"state"` // "built", "as it lies", or why not
	Manifest string          `json:"manifest,omitempty"`
	Version  string          `json:"version"`
	Files    int             `json:"files"`
	Bytes    int64           `json:"bytes"`
	Rows     int64           `json:"rows,omitempty"`
	K        int             `json:"k,omitempty"`
	Smallest int64           `json:"smallest_group,omitempty"`
	Counted  string          `json:"counted,omitempty"` // what k and smallest_group count: "persons" or "rows"
	LeftOut  int64           `json:"left_out,omitempty"`
	Hold     *residency.Hold `json:"hold,omitempty"` // legal hold on its dataset
}

// told puts a slice into a row.
func told(c *residency.Catalogue, d residency.Dataset, spec residency.SliceSpec, b columnar.Built, err error) row {
	facts, _ := c.Slice(spec.Name) // it is in the catalogue: it came from there
	r := row{Slice: spec.Name, Class: facts.Class, State: "built", Version: d.Source(spec).Name, LeftOut: b.LeftOut,
		Hold: d.Hold}
	if err != nil {
		r.State = err.Error()
		return r
	}
	if !spec.Derived() && d.Bucket == nil {
		r.State = "as it lies"
	}
	m := b.Manifest
	r.Manifest, r.Files, r.Bytes = m.Digest(), len(m.Files), m.Bytes
	if r.Rows, r.K, r.Smallest = m.Made.Rows, m.Made.K, m.Made.SmallestGroup; r.K > 0 {
		r.Counted = m.Made.Unit()
	}
	return r
}

// looked is a slice as it is, or why it cannot be served.
func looked(s *columnar.Store, d residency.Dataset, spec residency.SliceSpec) (columnar.Built, error) {
	return s.Held(d, spec)
}

// work does something with one slice.
type work func(*columnar.Store, residency.Dataset, residency.SliceSpec) (columnar.Built, error)

// slicesVerb does work with the slices that are named, or with all of them.
// list tells what is wrong with one and goes on; the others end there.
func slicesVerb(use, short string, args cobra.PositionalArgs, do work) *cobra.Command {
	var path string
	c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, names []string) error {
		var rows []row
		err := eachSlice(c.Context(), path, names, func(cat *residency.Catalogue, s *columnar.Store, d residency.Dataset,
			spec residency.SliceSpec) error {
			b, err := do(s, d, spec)
			rows = append(rows, told(cat, d, spec, b, errors.Unwrap(err)))
			if c.Name() == "list" && (errors.Is(err, columnar.ErrNotBuilt) || errors.Is(err, columnar.ErrRefused)) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Slices", rows, func(w io.Writer) error {
			return tabulate(w, rows)
		})
	}}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file; configs/edge.yaml explains it")
	return c
}

// tabulate prints rows for people.
func tabulate(w io.Writer, rows []row) error {
	var cells [][]string
	for _, r := range rows {
		state, count, k := r.State, "", ""
		if r.Hold != nil {
			state += "; legal hold"
		}
		if r.Rows > 0 {
			count = fmt.Sprint(r.Rows)
		}
		if r.K > 0 {
			k = fmt.Sprintf("%d %s (smallest %d)", r.K, r.Counted, r.Smallest)
		}
		cells = append(cells, []string{r.Slice, r.Class.String(), r.Version, state, fmt.Sprint(r.Files),
			fmt.Sprint(r.Bytes), count, k, r.Manifest})
	}
	return frame.Rows(w, []string{"slice", "class", "version", "state", "files", "bytes", "rows", "k", "manifest"}, cells)
}

// eachSlice opens a site's slices and calls do with each that is named.
func eachSlice(ctx context.Context, path string, names []string,
	do func(*residency.Catalogue, *columnar.Store, residency.Dataset, residency.SliceSpec) error) error {
	return withStore(ctx, path, func(sets []residency.Dataset, cat *residency.Catalogue, store *columnar.Store) error {
		for _, n := range names {
			if _, err := cat.Slice(n); err != nil {
				return frame.Wrap(frame.SliceMissing, err, "known are "+strings.Join(cat.Names(), ", "))
			}
		}
		for _, d := range sets {
			for _, spec := range d.Slices {
				if len(names) > 0 && !slices.Contains(names, spec.Name) {
					continue
				}
				if err := do(cat, store, d, spec); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// inspectCommand shows a slice's manifest.
func inspectCommand() *cobra.Command {
	var path string
	c := &cobra.Command{Use: "inspect SLICE", Short: "Show the manifest of a slice", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			return eachSlice(c.Context(), path, names, func(_ *residency.Catalogue, s *columnar.Store, d residency.Dataset,
				spec residency.SliceSpec) error {
				b, err := s.Held(d, spec)
				if err != nil {
					return err
				}
				source, err := s.VersionDigest(d, spec)
				if err != nil {
					return err
				}
				out := map[string]any{"digest": b.Manifest.Digest(), "version_digest": source, "manifest": b.Manifest}
				if d.Hold != nil {
					out["hold"] = d.Hold
				}
				return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Slice", out, func(w io.Writer) error {
					return describe(w, b.Manifest, source, d.Hold)
				})
			})
		}}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file; configs/edge.yaml explains it")
	return c
}

// describe writes a manifest for people.
func describe(w io.Writer, m residency.Manifest, source string, hold *residency.Hold) error {
	made := m.Made
	lines := [][2]string{{"slice", m.Slice}, {"manifest", m.Digest()}, {"hash", m.Hash}, {"merkle root", m.Root},
		{"version", made.Version + " of " + made.Dataset}, {"version's files", source},
		{"source, committed", made.Source}, {"request, committed", made.Spec}}
	if made.Derived {
		lines = append(lines, [][2]string{{"format", made.Format}, {"columns", strings.Join(made.Columns, ", ")},
			{"pseudonymised", strings.Join(made.Pseudonymised, ", ") + " (key " + made.Key + ")"},
			{"rows", fmt.Sprint(made.Rows)}}...)
	}
	if made.K > 0 {
		lines = append(lines, [2]string{"k-anonymity", fmt.Sprintf("k %d over %s, smallest group %d %s", made.K,
			strings.Join(made.Groups, ", "), made.SmallestGroup, counted(*made))})
	}
	if hold != nil {
		lines = append(lines, [2]string{"legal hold", hold.String()})
	}
	for _, f := range m.Files {
		lines = append(lines, [2]string{"file", fmt.Sprintf("%s, %d bytes, %d chunks", f.Name, f.Size, len(f.Chunks))})
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "%-20s %s\n", l[0], frame.Clean(l[1])); err != nil {
			return err
		}
	}
	return nil
}

// counted says what a slice's groups are counted in, and why not in persons.
func counted(m residency.Made) string {
	if m.Counted == "" {
		return "rows (the table names no subject, so a person may have many)"
	}
	return m.Unit()
}

// keyCommand makes the key of codes.
func keyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "key FILE", Short: "Make the key that codes for names are made with", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			k, err := columnar.NewKey(args[0])
			if err != nil {
				return frame.Wrap(frame.FileFailed, err, "")
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Key", map[string]any{"file": args[0], "id": k.ID()},
				func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s  key %s\n", frame.Clean(args[0]), k.ID())
					return err
				})
		},
	}
}
