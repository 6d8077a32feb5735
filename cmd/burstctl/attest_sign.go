package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/forge"
)

// forged is the answer of attest test-sign.
type forged struct {
	Document  string `json:"document"`  // file
	Signature string `json:"signature"` // file; "" if the document holds it
	Trust     string `json:"trust"`
}

func attestTestSign() *cobra.Command {
	var dir, provider, region, zone, account, instance, nonce, at, out string
	c := &cobra.Command{
		Use:   "test-sign",
		Short: "Make a document like a cloud's, under a test signer's own certificates",
		Long: "Test-sign makes the test signer in --dir as it is needed and writes FILE.document and, for AWS,\n" +
			"FILE.signature. A controller believes such documents only if its configuration names the directory as\n" +
			"attestation.test and sets allow_test_trust; they then have trust \"test\" and level L0.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" || out == "" || region == "" || instance == "" || provider == "azure" && nonce == "" {
				return frame.Wrap(frame.Usage, fmt.Errorf("sign test document: a flag is missing"),
					"give --dir, --region, --instance, --out and, for azure, --nonce")
			}
			now, err := instant(at)
			if err != nil {
				return err
			}
			var e residency.Evidence
			switch provider {
			case "aws":
				e, err = forge.Open(dir).AWS(region, zone, account, instance, now)
			case "azure":
				e, err = forge.Open(dir).Azure(region, account, instance, nonce, now)
			default:
				return frame.Wrap(frame.Usage, fmt.Errorf("sign test document: provider is %q", provider),
					"say --provider aws or --provider azure")
			}
			if err != nil {
				return frame.Wrap(frame.FileFailed, err, "")
			}
			f := forged{Document: out + ".document", Trust: residency.TestTrust}
			files := map[string][]byte{f.Document: e.Document}
			if len(e.Signature) > 0 {
				f.Signature = out + ".signature"
				files[f.Signature] = e.Signature
			}
			for name, b := range files {
				if err := os.WriteFile(name, b, 0o644); err != nil {
					return frame.Wrap(frame.FileFailed, fmt.Errorf("write test document: %w", err), "")
				}
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "TestDocument", f, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "wrote %s\n", frame.Clean(f.Document))
				return err
			})
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the test signer")
	c.Flags().StringVar(&provider, "provider", "", "aws or azure")
	c.Flags().StringVar(&region, "region", "", "region that the document is of")
	c.Flags().StringVar(&zone, "zone", "", "availability zone (aws; default: the region's first)")
	c.Flags().StringVar(&account, "account", "000000000000", "account or subscription")
	c.Flags().StringVar(&instance, "instance", "", "instance or vmId")
	c.Flags().StringVar(&nonce, "nonce", "", "nonce to repeat (azure)")
	c.Flags().StringVar(&at, "at", "", "when it is made, RFC 3339 (default: now)")
	c.Flags().StringVar(&out, "out", "", "name of the files to write, without extension")
	return c
}
