package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/azure"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// attestCommand groups what can be done with the documents by which clouds say
// where a machine is.
func attestCommand() *cobra.Command {
	c := &cobra.Command{Use: "attest", Short: "Verify the documents by which clouds say where a machine is"}
	c.AddCommand(attestVerify(), attestCerts(), attestTestSign())
	return c
}

// attested is the answer of attest verify.
type attested struct {
	Verifies bool            `json:"verifies"`
	Provider string          `json:"provider"`
	Kind     string          `json:"evidence"`
	At       time.Time       `json:"at"`
	Region   string          `json:"region,omitempty"`
	Zone     string          `json:"zone,omitempty"`
	Instance string          `json:"instance,omitempty"`
	Account  string          `json:"account,omitempty"`
	Level    residency.Level `json:"level"`
	Trust    string          `json:"trust,omitempty"`
	Issued   *time.Time      `json:"issued,omitempty"`
	Expires  *time.Time      `json:"expires,omitempty"`
	Compared []string        `json:"compared"` // with what the caller knows
	Check    string          `json:"check,omitempty"`
	Why      string          `json:"why,omitempty"`
}

// attestation is what the flags of attest verify say.
type attestation struct {
	provider, document, signature, certs, at, nonce, instance string
	test                                                      string
	rsa1024, allowTest                                        bool
}

func attestVerify() *cobra.Command {
	var f attestation
	c := &cobra.Command{
		Use:   "verify",
		Short: "Verify an identity document offline; exit 7, naming the check, if it does not verify",
		Long: "Verify reads a document as a node would show it and says who signed it, for which region and machine,\n" +
			"and how well that is known (L0 to L4). It speaks to nobody. What is not compared is not proven: only\n" +
			"--nonce shows that a document of Azure is no replay, only --instance that it is of a machine of yours.\n\n" +
			"For AWS, --document is the identity document and --signature its rsa2048 signature (or, with\n" +
			"--allow-rsa1024, its base64 signature). For Azure, --document is the attested document in base64.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.usage(); err != nil {
				return err
			}
			at, err := instant(f.at)
			if err != nil {
				return err
			}
			a := attested{Provider: f.provider, At: at, Compared: []string{}}
			verr, err := f.verify(&a)
			if err != nil {
				return err
			}
			a.Verifies = verr == nil
			if verr != nil {
				a.Check, a.Why = signed.Check(verr), verr.Error()
			}
			if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Attestation", a, a.print); err != nil {
				return err
			}
			if verr != nil {
				verr = fmt.Errorf("verify document of %s: %w", f.provider, verr)
			}
			return frame.Wrap(frame.DocumentRefused, verr, "")
		},
	}
	c.Flags().StringVar(&f.provider, "provider", "", "aws or azure")
	c.Flags().StringVar(&f.document, "document", "", "file of the document")
	c.Flags().StringVar(&f.signature, "signature", "", "file of the signature, in base64 (aws)")
	c.Flags().StringVar(&f.certs, "certs", "", "directory of the provider's certificates")
	c.Flags().StringVar(&f.at, "at", "", "the time that counts, RFC 3339 (default: now)")
	c.Flags().StringVar(&f.nonce, "nonce", "", "the nonce that was asked with (azure)")
	c.Flags().StringVar(&f.instance, "instance", "", "the machine it must be of")
	c.Flags().BoolVar(&f.rsa1024, "allow-rsa1024", false, "take a signature by a shared 1024-bit key, at L1 (aws)")
	c.Flags().StringVar(&f.test, "test-certs", "", "directory of a test signer")
	c.Flags().BoolVar(&f.allowTest, "allow-test-trust", false, "take a test signer's document, at L0")
	return c
}

// usage refuses flags that do not go together.
func (f attestation) usage() error {
	wrong := func(why, fix string) error {
		return frame.Wrap(frame.Usage, fmt.Errorf("verify document: %s", why), fix)
	}
	switch {
	case f.provider != "aws" && f.provider != "azure":
		return wrong(fmt.Sprintf("provider is %q", f.provider), "say --provider aws or --provider azure")
	case f.document == "":
		return wrong("no document is named", "name its file with --document")
	case f.certs == "" && f.test == "":
		return wrong("no certificates are named", "name their directory with --certs")
	case f.provider == "aws" && f.signature == "":
		return wrong("no signature is named", "name its file with --signature")
	case f.provider == "aws" && f.nonce != "":
		return wrong("documents of AWS hold no nonce", "leave --nonce away")
	case f.provider == "azure" && f.signature != "":
		return wrong("documents of Azure hold their signature", "leave --signature away")
	case f.provider == "azure" && f.rsa1024:
		return wrong("only AWS has such keys", "leave --allow-rsa1024 away")
	case f.provider == "azure" && f.nonce == "":
		return wrong("no nonce is given, so any old document would do", "give the one that was asked with as --nonce")
	}
	return nil
}

// verify fills the answer. refused is what the verifier says; err is about files.
func (f attestation) verify(a *attested) (refused, err error) {
	var e residency.Evidence
	if e.Document, err = readFile(f.document); err != nil {
		return nil, err
	}
	if f.provider == "azure" {
		return f.azure(a, e)
	}
	if e.Signature, err = readFile(f.signature); err != nil {
		return nil, err
	}
	return f.aws(a, e)
}

func (f attestation) aws(a *attested, e residency.Evidence) (refused, err error) {
	v, err := awsVerifier(configs.Attestation{AWS: f.certs, AWSRSA1024: f.rsa1024, Test: f.test,
		AllowTestTrust: f.allowTest}, 0)
	if err != nil || v == nil {
		return nil, frame.Wrap(frame.FileFailed, err, "name the directory that holds rsa2048 with --certs")
	}
	e.Kind = aws.Kind
	if b, err := signed.Base64(e.Signature); err == nil && len(b) == 1024/8 {
		e.Kind = aws.KindRSA1024
	}
	a.Kind = e.Kind
	d, refused := v.Open(e, a.At)
	if refused == nil && f.instance != "" {
		a.Compared = append(a.Compared, "instance")
		refused = same("instance", d.Instance, f.instance)
	}
	if refused != nil {
		return refused, nil
	}
	a.Region, a.Zone, a.Instance, a.Account = d.Region, d.Zone, d.Instance, d.Account
	a.Level, a.Trust, a.Issued = d.Level, d.Trust, &d.Started
	return nil, nil
}

func (f attestation) azure(a *attested, e residency.Evidence) (refused, err error) {
	o := &azure.Options{}
	if f.test != "" {
		if o, err = azureOptions(configs.Attestation{Test: f.test, AllowTestTrust: f.allowTest}); err != nil || o == nil {
			return nil, frame.Wrap(frame.FileFailed, err, "")
		}
	}
	if f.certs != "" {
		if o.Roots, o.Intermediates, err = oneDirectory(f.certs); err != nil {
			return nil, frame.Wrap(frame.FileFailed, err, "name a directory of *.pem with --certs")
		}
	}
	e.Kind = azure.Kind
	a.Kind = e.Kind
	d, refused := azure.New(*o).Open(e, a.At)
	if refused == nil {
		a.Compared = append(a.Compared, "nonce")
		refused = d.Answers(f.nonce)
	}
	if refused == nil && f.instance != "" {
		a.Compared = append(a.Compared, "vmId")
		refused = same("vmId", d.Instance, f.instance)
	}
	if refused != nil {
		return refused, nil
	}
	a.Region, a.Instance, a.Account = d.Region, d.Instance, d.Account
	a.Level, a.Trust, a.Issued, a.Expires = d.Level, d.Trust, &d.Created, &d.Expires
	return nil, nil
}

func same(check, signer, ours string) error {
	if signer != ours {
		return signed.Fail(check, "the document is of %q, ours is %q", signer, ours)
	}
	return nil
}

// readFile reads a small file.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read document: %w", err), "")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4*signed.MaxSize))
	return b, frame.Wrap(frame.FileFailed, err, "")
}

func (a attested) print(w io.Writer) error {
	if !a.Verifies {
		_, err := fmt.Fprintln(w, "DOES NOT VERIFY: "+frame.Clean(a.Why))
		return err
	}
	place := a.Provider + "/" + a.Region
	if a.Zone != "" {
		place += "/" + a.Zone
	}
	rows := [][]string{{"verifies", "yes"}, {"place", place}, {"instance", a.Instance}, {"account", a.Account},
		{"level", a.Level.String()}, {"trust", a.Trust}, {"issued", a.Issued.Format(time.RFC3339)}}
	if a.Expires != nil {
		rows = append(rows, []string{"expires", a.Expires.Format(time.RFC3339)})
	}
	return frame.Rows(w, []string{"what", "is"}, append(rows, []string{"compared", fmt.Sprint(a.Compared)}))
}
