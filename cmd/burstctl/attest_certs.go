package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/azure"
)

// soon is how long before its end a certificate is warned of.
const soon = doctor.Soon

// awsVerifier believes as the configuration says; nil if that names nobody.
func awsVerifier(a configs.Attestation, maxAge time.Duration) (*aws.Verifier, error) {
	o := aws.Options{AllowTest: a.AllowTestTrust, AllowRSA1024: a.AWSRSA1024, MaxAge: maxAge}
	var err error
	if a.AWS != "" {
		if o.Keys, err = aws.ReadKeys(os.DirFS(a.AWS)); err != nil {
			return nil, err
		}
	}
	if dir := filepath.Join(a.Test, "aws"); a.Test != "" && exists(dir) {
		if o.Test, err = aws.ReadKeys(os.DirFS(dir)); err != nil {
			return nil, err
		}
	}
	if o.Keys == nil && o.Test == nil {
		return nil, nil
	}
	return aws.New(o), nil
}

// azureOptions believe as the configuration says; nil if that names nobody.
func azureOptions(a configs.Attestation) (*azure.Options, error) {
	o := azure.Options{AllowTest: a.AllowTestTrust}
	var err error
	if a.AzureRoots != "" {
		if o.Roots, o.Intermediates, err = azureCertificates(a.AzureRoots, a.AzureIntermediates); err != nil {
			return nil, err
		}
	}
	if dir := filepath.Join(a.Test, "azure"); a.Test != "" && exists(dir) {
		o.TestRoots, o.TestIntermediates, err = azureCertificates(filepath.Join(dir, "roots"), filepath.Join(dir,
			"intermediates"))
		if err != nil {
			return nil, err
		}
	}
	if o.Roots == nil && o.TestRoots == nil {
		return nil, nil
	}
	return &o, nil
}

// azureCertificates reads a pair of directories.
func azureCertificates(roots, intermediates string) (*azure.Certificates, *azure.Certificates, error) {
	r, err := azure.ReadRoots(os.DirFS(roots))
	if err != nil {
		return nil, nil, err
	}
	i, err := azure.ReadIntermediates(os.DirFS(intermediates))
	return r, i, err
}

// oneDirectory reads roots and intermediates from one directory: its two
// subdirectories, or else all in it.
func oneDirectory(dir string) (*azure.Certificates, *azure.Certificates, error) {
	if exists(filepath.Join(dir, "roots")) {
		return azureCertificates(filepath.Join(dir, "roots"), filepath.Join(dir, "intermediates"))
	}
	return azure.ReadMixed(os.DirFS(dir))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// stale is the answer of attest certs.
type stale struct {
	At       time.Time `json:"at"`
	Warnings []string  `json:"warnings"`
}

func attestCerts() *cobra.Command {
	var certs, at string
	c := &cobra.Command{
		Use:   "certs",
		Short: "Warn of Azure certificates that are out of date or will be within 30 days",
		Long: "Certs reads a directory as attest verify does and names every certificate that is out of date or will be\n" +
			"within 30 days. The controller warns of the same when it starts. That a root's own time is over is no\n" +
			"mistake as long as another root serves; without a current intermediate no document verifies.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now, err := instant(at)
			if err != nil {
				return err
			}
			roots, between, err := oneDirectory(certs)
			if err != nil {
				return frame.Wrap(frame.FileFailed, err, "name a directory of *.pem with --certs")
			}
			s := stale{At: now, Warnings: append(roots.Expired(now, soon), between.Expired(now, soon)...)}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Certificates", s, s.print)
		},
	}
	c.Flags().StringVar(&certs, "certs", "", "directory of certificates")
	c.Flags().StringVar(&at, "at", "", "the time that counts, RFC 3339 (default: now)")
	return c
}

func (s stale) print(w io.Writer) error {
	if len(s.Warnings) == 0 {
		_, err := fmt.Fprintln(w, "all are good for 30 days or more")
		return err
	}
	for _, name := range s.Warnings {
		fmt.Fprintln(w, "warning: "+frame.Clean(name))
	}
	return nil
}

// instant reads a time; "" is now.
func instant(text string) (time.Time, error) {
	if text == "" {
		return time.Now().UTC().Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, frame.Wrap(frame.Usage, fmt.Errorf("read --at: %q is no time", text),
			"write it as 2022-04-19T02:00:00Z")
	}
	return t.UTC(), nil
}
