package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// readme goes into every bundle.
const readme = `This is evidence of what a burstctl controller decided and served.

log/           the log: a C2SP tlog-tiles tree, signed and cosigned
trust.txt      the trust policy it was bundled under; do not rely on it
answers/       what the log answers to an officer's questions, as JSON
version.json   the program that made this file

To check it, take the trust policy from whom you trust, not from this file, and
run, with no network:

    burstctl audit verify evidence.zip --trust policy.txt

That verifies the log with your keys, works out every answer again and compares
it with the one here. Exit 0: it verifies. Exit 7: it does not.
The same program answers from it: burstctl audit transfers evidence.zip --trust policy.txt
`

func auditBundle() *cobra.Command {
	var trust, out string
	c := &cobra.Command{
		Use:   "bundle LOG",
		Short: "Put a log, its answers and the trust policy into one file that verifies without network",
		Long: "Bundle writes one zip for an auditor: the log, the trust policy text, the answer to every question as JSON\n" +
			"and this program's version; \"burstctl audit verify\" checks it on any machine, without network.\n\n" +
			"The log is verified first; if it does not verify, nothing is written (exit 7). Violations go into the answers\n" +
			"and are counted, and do not keep the bundle from being made.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return makeBundle(c, args[0], trust, out) },
	}
	c.Flags().StringVar(&trust, "trust", "", "file that names the keys of log and witnesses")
	c.Flags().StringVarP(&out, "output", "o", "", "the file to write; it must not exist")
	_ = c.MarkFlagRequired("output")
	return c
}

func makeBundle(c *cobra.Command, dir, trust, out string) error {
	t, err := readTrust(trust)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(trust)
	if err != nil {
		return frame.Wrap(frame.TrustMissing, fmt.Errorf("read trust: %w", err), "")
	}
	root, err := openLog(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r, tree, err := everyone.settled(c.Context(), root.FS(), t)
	if err != nil {
		return frame.Wrap(frame.LogUnverified, err, "")
	}
	answers, found, err := r.all()
	if err != nil {
		return err
	}
	parts := []part{{partReadme, []byte(readme)}, {partVersion, version()}, {partTrust, text}}
	logged, err := logParts(c.Context(), tree)
	if err != nil {
		return fmt.Errorf("bundle log: %w", err)
	}
	if err := writeBundle(out, slices.Concat(parts, answers, logged)); err != nil {
		return err
	}
	if v, err := checkBundle(c.Context(), out, t, text); err != nil {
		return errors.Join(frame.Wrap(frame.LogUnverified, fmt.Errorf("bundle log: %w: %v", err, v.Problems), ""),
			os.Remove(out))
	}
	fmt.Fprintf(c.ErrOrStderr(), "bundled %d entries in %d files into %s; its answers hold %d violations\n", r.report.Size,
		len(logged), out, found)
	return nil
}

// everyone reads a log for all its answers.
var everyone = officer{told: func(string) bool { return true }}

// version is which program this is.
func version() []byte {
	b, err := json.MarshalIndent(frame.BuildVersion(), "", "  ")
	if err != nil {
		panic(err) // plain data
	}
	return append(b, '\n')
}

// all answers every question, as the parts of a bundle, and counts what was found.
func (r reading) all() (parts []part, found int, err error) {
	for _, name := range answerParts {
		var b bytes.Buffer
		a := r.answer(r.named(name))
		if err := frame.Print(&b, frame.JSON, "Answer", a, nil); err != nil {
			return nil, 0, err
		}
		parts = append(parts, part{"answers/" + name + ".json", b.Bytes()})
		found += len(a.Violations)
	}
	return parts, found, nil
}

// named answers one of answerParts.
func (r reading) named(name string) asked {
	switch name {
	case "transfers":
		return transfers(r.review.Transfers(time.Time{}, time.Time{}))
	case "denials":
		return denials(r.review.Denials())
	case "serves":
		all, found := r.review.Serves()
		return serves(all, found, false)
	case "teardown":
		return teardown(r.review.Teardowns(""))
	case "weak":
		return weak(r.review.Weak(residency.L2, len(r.report.Cosigners)))
	case "where":
		return r.everywhere()
	}
	return r.everything()
}

// everywhere says where every dataset and slice has been.
func (r reading) everywhere() asked {
	type stays struct {
		Name  string        `json:"name"`
		Stays []review.Stay `json:"stays"`
	}
	all, found := []stays{}, []review.Finding{}
	for _, name := range r.review.Slices() {
		s, f := r.review.Where(name)
		all, found = append(all, stays{name, s}), append(found, f...)
	}
	return asked{kind: "StayList", question: "where every dataset has been", items: all, findings: once(found)}
}

// everything explains every claim.
func (r reading) everything() asked {
	all, found := []explanation{}, []review.Finding{}
	for _, claim := range r.review.Claims() {
		x, f, err := r.review.Explain(claim)
		if err == nil { // the claim is one the log names
			all, found = append(all, explanation{x, append([]line{}, r.lines[claim]...)}), append(found, f...)
		}
	}
	return asked{kind: "ExplanationList", question: "how every claim was decided", items: all, findings: once(found)}
}

// once leaves out what was found before.
func once(found []review.Finding) []review.Finding {
	seen := map[review.Finding]bool{}
	return slices.DeleteFunc(found, func(f review.Finding) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

// logParts are the files that the tree of the log's checkpoint needs, sorted.
func logParts(ctx context.Context, tree fs.FS) ([]part, error) {
	var b bytes.Buffer
	if err := audit.Backup(ctx, tree, &b); err != nil {
		return nil, err
	}
	var parts []part
	for in := tar.NewReader(&b); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.name, b.name) })
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{logPrefix + h.Name, data})
	}
}

// writeBundle writes parts to a file that does not exist.
func writeBundle(path string, parts []part) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return frame.Wrap(frame.FileFailed, fmt.Errorf("bundle log: %w", err), "name a file that does not exist")
	}
	if err != nil {
		return frame.Wrap(frame.FileFailed, fmt.Errorf("bundle log: %w", err), "")
	}
	w := zip.NewWriter(f)
	for _, p := range parts {
		out, werr := w.CreateRaw(partHeader(p.name, crc32.ChecksumIEEE(p.data), uint64(len(p.data))))
		if werr == nil {
			_, werr = out.Write(p.data)
		}
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, w.Close(), f.Sync(), f.Close()); err != nil {
		return frame.Wrap(frame.FileFailed, fmt.Errorf("bundle log: %w", errors.Join(err, os.Remove(path))), "")
	}
	return nil
}

// bundleVerdict is the answer of audit verify about a bundle.
type bundleVerdict struct {
	verdict
	MadeBy    json.RawMessage `json:"made_by"`    // version.json
	SameTrust bool            `json:"same_trust"` // the trust it was bundled under is the one given
	Answers   int             `json:"answers"`    // worked out again, and the same
	Found     int             `json:"violations"` // in them
}

// checkBundle verifies a bundle: its form, its log under t, and that its answers are those of its log.
func checkBundle(ctx context.Context, path string, t audit.Trust, given []byte) (bundleVerdict, error) {
	v := bundleVerdict{verdict: verdict{FirstBad: -1}, MadeBy: json.RawMessage("null")}
	err := v.check(ctx, path, t, given)
	if v.Verifies = err == nil; err != nil && len(v.Problems) == 0 {
		v.Problems = []string{err.Error()}
	}
	return v, err
}

func (v *bundleVerdict) check(ctx context.Context, path string, t audit.Trust, given []byte) error {
	b, err := openBundle(path)
	if err != nil {
		return err
	}
	defer b.Close()
	tree, err := b.log()
	if err != nil {
		return err
	}
	r, err := everyone.read(ctx, tree, t)
	p := r.report
	v.Origin, v.Size, v.Root, v.Cosigned, v.FirstBad, v.Problems = p.Origin, p.Size, p.Root, p.CosignedSize, p.FirstBad,
		p.Problems
	if err != nil {
		return err
	}
	trust, err := b.part(partTrust)
	if err != nil {
		return fmt.Errorf("verify bundle: %w: %s: %w", audit.ErrUnverified, partTrust, err)
	}
	v.SameTrust = bytes.Equal(trust, given)
	made, err := b.part(partVersion)
	if err != nil || !json.Valid(made) {
		return fmt.Errorf("verify bundle: %w: %s cannot be read", audit.ErrUnverified, partVersion)
	}
	v.MadeBy = made
	answers, found, err := r.all()
	if err != nil {
		return err
	}
	v.Answers, v.Found = len(answers), found
	hint := ""
	if !bytes.Equal(made, version()) {
		hint = "; another version made it, which may say the same in other words"
	}
	for _, want := range append(answers, part{partReadme, []byte(readme)}) {
		if got, err := b.part(want.name); err != nil || !bytes.Equal(got, want.data) {
			return fmt.Errorf("verify bundle: %w: %s is not what the log answers%s", audit.ErrUnverified, want.name, hint)
		}
	}
	return nil
}

// verifyBundle verifies a bundle and prints what was found.
func verifyBundle(c *cobra.Command, path, trust string, t audit.Trust) error {
	given, err := os.ReadFile(trust)
	if err != nil {
		return frame.Wrap(frame.TrustMissing, fmt.Errorf("read trust: %w", err), "")
	}
	v, err := checkBundle(c.Context(), path, t, given)
	if perr := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Verification", v, v.print); perr != nil {
		return perr
	}
	return frame.Wrap(frame.LogUnverified, err, "")
}

func (v bundleVerdict) print(w io.Writer) error {
	if err := v.verdict.print(w); err != nil || !v.Verifies {
		return err
	}
	trust := "its own trust policy is the one you gave"
	if !v.SameTrust {
		trust = "its own trust policy is NOT the one you gave, and was not used"
	}
	_, err := fmt.Fprintf(w, "bundle: %d answers worked out again and found the same, with %d violations in them; %s\n",
		v.Answers, v.Found, trust)
	return err
}
