package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// caller is how a verb reaches the controller: its address, and the folder
// that keys init made for this person, or a token.
type caller struct{ address, as, domain, token string }

// flags adds the caller's flags to a verb.
func (k *caller) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.address, "controller", os.Getenv("BURSTCTL_CONTROLLER"), "host:port of the controller; BURSTCTL_CONTROLLER sets it too")
	f.StringVar(&k.as, "as", os.Getenv("BURSTCTL_AS"), "your folder of keys; BURSTCTL_AS sets it too")
	f.StringVar(&k.domain, "domain", os.Getenv("BURSTCTL_DOMAIN"), "trust domain; without it the one of your certificate")
	f.StringVar(&k.token, "token-file", os.Getenv("BURSTCTL_TOKEN_FILE"), "file with an OIDC token, instead of your certificate")
}

// client opens the way to the controller.
func (k *caller) client() (*control.Client, error) {
	if k.address == "" || k.as == "" {
		return nil, &frame.Problem{Code: frame.Usage, What: "call controller", Err: errors.New("its address or your keys are not named"),
			Fix: "name them with --controller and --as, or set BURSTCTL_CONTROLLER and BURSTCTL_AS"}
	}
	roots, err := keys.Pool(filepath.Join(k.as, "ca.pem"))
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	o := control.Options{Address: k.address, Domain: k.domain, Roots: roots}
	if k.token != "" {
		o.Token = func() (string, error) { return keys.Text(k.token) }
		return control.NewClient(o), nil
	}
	cert, err := keys.Certificate(filepath.Join(k.as, "tls.pem"), filepath.Join(k.as, "tls.key"))
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	o.Cert = func() (*tls.Certificate, error) { return &cert, nil }
	o.Domain = cmp.Or(o.Domain, domainOf(cert))
	return control.NewClient(o), nil
}

// domainOf is the trust domain that a certificate of the house names.
func domainOf(c tls.Certificate) string {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil || len(leaf.URIs) != 1 {
		return ""
	}
	id, err := tunnel.ParseIdentity(leaf.URIs[0].String())
	if err != nil {
		return ""
	}
	return id.Domain
}

// refusal gives the error of a call its code.
func refusal(err error) error {
	p, ok := errors.AsType[*control.Problem](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case !ok:
		return frame.Wrap(frame.ControlAway, err, "")
	case p.Status == http.StatusUnauthorized:
		return frame.Wrap(frame.NotKnown, err, "")
	case p.Status == http.StatusForbidden:
		return frame.Wrap(frame.NotAllowed, err, "")
	}
	return frame.Wrap(frame.Failed, err, "")
}
