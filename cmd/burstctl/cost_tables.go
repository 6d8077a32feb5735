package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst/cost"
)

// costColumns and unitColumns are told of each group.
var (
	costColumns = []string{"bursts", "hours", "gpu hours", "cost", "may come", "overrun"}
	unitColumns = []string{"per gpu hour", "epochs", "per epoch", "samples", "per 1000", "kwh", "energy is", "gco2e",
		"gco2e per epoch"}
)

// table is the groups as rows for people.
func (o *costs) table(groups []cost.Group) (head []string, rows [][]string) {
	head, tell := slices.Concat(o.by, costColumns), costCells
	if o.units {
		head = slices.Concat(o.by, []string{"cost"}, unitColumns)
		tell = func(g cost.Group) []string { return append([]string{g.Cost.String()}, unitCells(g)...) }
	}
	for _, g := range groups {
		var of []string
		for _, v := range g.Of {
			of = append(of, orNone(v))
		}
		rows = append(rows, append(of, tell(g)...))
	}
	return head, rows
}

// costCells tells what a group cost.
func costCells(g cost.Group) []string {
	return []string{strconv.Itoa(g.Bursts), hours(g.Ran), hours(g.GPUTime), g.Cost.String(), g.Reserved.String(),
		known(g.Overrun)}
}

// unitCells tells what its work came to; what nobody knows is empty.
func unitCells(g cost.Group) []string {
	u := g.Units
	return []string{fine(u.PerGPUHour), count(int64(u.Epochs)), fine(u.PerEpoch), count(u.Samples), fine(u.Per1000),
		figure(u.KWh), u.EnergySource, figure(u.Grams), figure(u.GramsPerEpoch)}
}

// known is an amount, or nothing if it is unknown.
func known(m policy.Money) string {
	if !m.Known() {
		return ""
	}
	return m.String()
}

// fine is known to the millionth: what a sample costs is little.
func fine(m policy.Money) string {
	if !m.Known() || m.Micros < 0 {
		return known(m)
	}
	return fmt.Sprintf("%d.%06d %s", m.Micros/1e6, m.Micros%1e6, m.Currency)
}

func count(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func hours(d time.Duration) string { return strconv.FormatFloat(d.Hours(), 'f', 4, 64) }

func figure(x float64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

// writeCSV writes groups with all that is known of them. Text that a
// spreadsheet would take for a formula is quoted.
func writeCSV(w io.Writer, head []string, groups []cost.Group) error {
	out := csv.NewWriter(w)
	_ = out.Write(head) // an error stays until Flush
	for _, g := range groups {
		row := slices.Concat(g.Of, costCells(g), unitCells(g))
		for i, cell := range row[:len(g.Of)] {
			if row[i] = frame.Clean(cell); strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") {
				row[i] = "'" + row[i]
			}
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// reconcile compares the bill at path.
func reconcile(c *cobra.Command, r reading, path string, o cost.Options) error {
	f, err := os.Open(path)
	if err != nil {
		return frame.Wrap(frame.FileMissing, fmt.Errorf("read bill: %w", err), "")
	}
	defer f.Close()
	books := r.book.Reconcile(o)
	if err := cost.ReadBill(f, books.Add); err != nil {
		if _, ok := errors.AsType[*cost.BillError](err); ok {
			err = fmt.Errorf("read bill: %s:%w", path, err)
		}
		return frame.Wrap(frame.BadConfig, err, "export it again as FOCUS cost and usage, in CSV with its header")
	}
	v := books.Result()
	a := r.answer(asked{question: "whether the bill agrees with the log", items: v, findings: unaccounted(v.Violations)})
	err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Reconciliation", a, func(w io.Writer) error {
		return errors.Join(printReconciled(w, v), a.Log.print(w))
	})
	return errors.Join(err, violated(a))
}

// printReconciled tells what a bill and a log say of each other.
func printReconciled(w io.Writer, v cost.Reconciled) error {
	var rows [][]string
	for _, d := range v.Differ {
		rows = append(rows, []string{"differs", d.Resource, d.Claim, d.Billed.String(), d.Ours.String(), d.Text})
	}
	for _, m := range v.Unbilled {
		rows = append(rows, []string{"not billed", m.Resource, m.Claim, "", m.Ours.String(), "launched by entry " +
			strconv.FormatInt(m.Entry, 10)})
	}
	if err := table(w, "the bill and the log agree on every machine they share", []string{"what", "machine", "claim",
		"billed", "by the log", "why"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, x := range v.Violations {
		launched := ""
		if x.Entry != nil {
			launched = fmt.Sprintf(" (claim %s, entry %d)", x.Claim, *x.Entry)
		}
		fmt.Fprintf(w, "FOUND     row %d, %s, %v: %s\n", x.Row, frame.Clean(x.Resource+" in "+x.Region), x.Cost,
			frame.Clean(x.Text+launched))
	}
	if len(v.Violations) == 0 {
		fmt.Fprintln(w, "clean     every machine on the bill was launched by the log, where and when it is billed")
	}
	_, err := fmt.Fprintf(w, "bill      %s to %s: %d machines, %d matched, billed %v, by the log %v; %d other rows\n",
		stamp(v.From), stamp(v.To), v.Machines, v.Matched, v.Billed, v.Ours, v.Others)
	return err
}
