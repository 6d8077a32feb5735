package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

func placesSign() *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use:   "sign [TABLE]",
		Short: "Sign a table, the shipped one if none is named; a signed one gets a further signature",
		Example: "  burstctl places sign table.csv --key keys/office/places.key --out places.note\n" +
			"  burstctl places sign places.note --key council.key --out places.note",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b := places.CSV
			var err error
			if len(args) == 1 {
				if b, err = os.ReadFile(args[0]); err != nil {
					return frame.Wrap(frame.FileMissing, fmt.Errorf("sign places: %w", err), "")
				}
			}
			signer, err := keys.Signer(key)
			if err != nil {
				return frame.Wrap(frame.KeyMissing, err, "name a places key with --key; burstctl keys init makes one")
			}
			signed, err := residency.SignTable(b, signer)
			if err != nil {
				return frame.Wrap(frame.BadPlaces, err, "correct the line shown; nothing was signed")
			}
			if out == "" {
				_, err = c.OutOrStdout().Write(signed)
				return err
			}
			if err := replaceFile(out, signed); err != nil {
				return frame.Wrap(frame.FileFailed, fmt.Errorf("sign places: %w", err), "")
			}
			fmt.Fprintln(c.ErrOrStderr(), "signed as", signer.Name()+":", out)
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the signing key, mode 0600")
	c.Flags().StringVar(&out, "out", "", "where to write it; standard output if not given")
	_ = c.MarkFlagRequired("key")
	return c
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// verifiedTable is the answer of verify.
type verifiedTable struct {
	Verified  bool     `json:"verified"`
	Digest    string   `json:"digest"`
	Version   int      `json:"version"`
	Dated     string   `json:"dated"`
	Threshold int      `json:"threshold"`
	SignedBy  []string `json:"signed_by"`
	Places    int      `json:"places"`
}

func placesVerify() *cobra.Command {
	var paths []string
	var need int
	c := &cobra.Command{
		Use:     "verify NOTE",
		Short:   "Verify that a table is signed, by as many of the keys as wanted",
		Example: "  burstctl places verify places.note --key office.vkey --key council.vkey --threshold 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("verify places: %w", err), "")
			}
			vs, err := keys.Verifiers(paths...)
			if err != nil {
				return frame.Wrap(frame.KeyMissing, err, "name each .vkey file of a place key once")
			}
			if need < 1 || need > len(paths) {
				return frame.Wrap(frame.Usage, fmt.Errorf("verify places: %d of %d keys", need, len(paths)),
					"want a threshold from 1 to the number of keys")
			}
			t, by, err := residency.OpenTableBy(b, note.VerifierList(vs...), need)
			if err != nil {
				return &frame.Problem{Code: frame.TrustMissing, What: "verify places", Err: err,
					Why: "the table is not signed by as many of these keys as wanted, or it was changed after",
					Fix: "use the table from before, or have this one reviewed and signed"}
			}
			a := verifiedTable{true, t.Digest(), t.Version(), t.Dated(), need, by, len(t.Places())}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "PlaceVerification", a, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "verified: version %d of %s, %d places, signed by %s (%d wanted)\n%s\n",
					a.Version, a.Dated, a.Places, strings.Join(by, ", "), need, a.Digest)
				return err
			})
		},
	}
	c.Flags().StringSliceVar(&paths, "key", nil, "a verifier key; repeat for more")
	c.Flags().IntVar(&need, "threshold", 1, "how many of the keys must have signed")
	_ = c.MarkFlagRequired("key")
	return c
}
