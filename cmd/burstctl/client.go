package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
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
	f.StringVar(&k.address, "controller", os.Getenv("BURSTCTL_CONTROLLER"),
		"host:port of the controller; BURSTCTL_CONTROLLER sets it too")
	f.StringVar(&k.as, "as", os.Getenv("BURSTCTL_AS"), "your folder of keys; BURSTCTL_AS sets it too")
	f.StringVar(&k.domain, "domain", os.Getenv("BURSTCTL_DOMAIN"), "trust domain; without it the one of your certificate")
	f.StringVar(&k.token, "token-file", os.Getenv("BURSTCTL_TOKEN_FILE"),
		"file with an OIDC token, instead of your certificate")
}

// client opens the way to the controller.
func (k *caller) client(ctx context.Context) (*control.Client, error) {
	if k.address == "" || k.as == "" {
		return nil, &frame.Problem{Code: frame.Usage, What: "call controller",
			Err: errors.New("its address or your keys are not named"),
			Fix: "name them with --controller and --as, or set BURSTCTL_CONTROLLER and BURSTCTL_AS"}
	}
	roots, err := keys.Pool(filepath.Join(k.as, "ca.pem"))
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	heard(ctx, k.address)
	o := control.Options{Address: k.address, Domain: k.domain, Roots: roots}
	if k.token != "" {
		if _, err := keys.Text(k.token); err != nil {
			return nil, frame.Wrap(frame.FileMissing, err, "name a readable file, 0600, with --token-file")
		}
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

// status opens the way and asks what the controller is doing.
func (k *caller) status(ctx context.Context) (*control.Client, control.Status, error) {
	client, err := k.client(ctx)
	if err != nil {
		return nil, control.Status{}, err
	}
	s, err := client.Status(ctx)
	return client, s, refusal(err)
}

// patience is how long a verb waits for a controller that was started just now.
const patience = 5 * time.Second

// heard waits until something listens at the address. What else may be wrong
// there is for the call itself to find.
func heard(ctx context.Context, address string) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(500*time.Millisecond), backoff.WithMaxElapsedTime(patience))
	_ = backoff.Retry(func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		switch {
		case err == nil:
			return conn.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(pause, ctx))
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
	}
	if _, err := frame.Lookup(frame.Code(p.Code)); err == nil { // what the controller knows of it
		return &frame.Problem{Code: frame.Code(p.Code), What: "controller says no", Err: errors.New(p.Detail)}
	}
	return frame.Wrap(frame.Failed, err, "")
}
