package vault

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/issuer"
)

// Issue has Vault sign the node's request for the grant. The request is held
// to [issuer.ParseRequest] before Vault sees it, the answer to
// [issuer.CheckLeaf] after.
func (v *Vault) Issue(
	ctx context.Context, csrPEM []byte, grant string, ttl time.Duration,
) (tunnel.Credential, error) {
	const op = "issue credential"
	uri := tunnel.GrantURI(v.cfg.TrustDomain, grant)
	csr, err := issuer.ParseRequest(csrPEM, uri)
	if err := cmp.Or(issuer.CheckTTL(ttl), err); err != nil {
		return tunnel.Credential{}, fmt.Errorf("%s: %w", op, err)
	}
	out, err := v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().WriteWithContext(ctx, v.cfg.Mount+"/sign/"+v.cfg.Role, map[string]any{
			"csr":                  string(csrPEM),
			"uri_sans":             uri,
			"ttl":                  fmt.Sprintf("%ds", int(ttl.Seconds())),
			"exclude_cn_from_sans": true,
		})
	})
	if err != nil {
		return tunnel.Credential{}, err
	}
	leaf, err := certificate(out, "certificate")
	if err != nil {
		return tunnel.Credential{}, v.doubt(op, err)
	}
	ca, err := certificate(out, "issuing_ca")
	if err == nil {
		err = cmp.Or(issuer.CheckLeaf(leaf, csr, uri, ttl, v.now()), leaf.CheckSignatureFrom(ca))
	}
	if err != nil {
		err = v.doubt(op, err)
		if rerr := v.Revoke(context.WithoutCancel(ctx), issuer.Serial(leaf.SerialNumber)); rerr != nil {
			err = fmt.Errorf("%w (and it is not revoked: %w)", err, rerr)
		}
		return tunnel.Credential{}, err
	}
	return tunnel.Credential{
		Grant: grant, Serial: issuer.Serial(leaf.SerialNumber),
		Chain:     append(encode(leaf), encode(ca)...),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// Revoke withdraws a serial for good and puts it on Vault's CRL. Again is no
// error, nor is a certificate past its end; a serial never issued is.
func (v *Vault) Revoke(ctx context.Context, serial string) error {
	const op = "revoke credential"
	plain, err := issuer.ParseSerial(serial)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().WriteWithContext(ctx, v.cfg.Mount+"/revoke", map[string]any{
			"serial_number": colons(plain),
		})
	})
	return err
}

// Revoked asks Vault whether it no longer stands behind a serial: it was
// revoked, or its end is past. An error, as for a serial never issued, is
// doubt: treat the credential as neither usable nor surely gone.
func (v *Vault) Revoked(ctx context.Context, serial string) (bool, error) {
	const op = "ask after credential"
	plain, err := issuer.ParseSerial(serial)
	if err != nil {
		return false, fmt.Errorf("%s: %w", op, err)
	}
	out, err := v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().ReadWithContext(ctx, v.cfg.Mount+"/cert/"+colons(plain))
	})
	if err != nil {
		return false, err
	}
	if out == nil {
		return false, fmt.Errorf("%s: vault at %s never issued serial %s", op, v.cfg.Address, plain)
	}
	cert, err := certificate(out, "certificate")
	if err != nil {
		return false, v.doubt(op, err)
	}
	num, ok := out.Data["revocation_time"].(json.Number)
	at, err := num.Int64()
	if !ok || err != nil || issuer.Serial(cert.SerialNumber) != plain {
		return false, v.doubt(op, errors.New("the answer is not about this certificate"))
	}
	return at > 0 || v.now().After(cert.NotAfter.Add(issuer.Skew)), nil
}

// doubt wraps what is wrong with an answer that came with status 200.
func (v *Vault) doubt(op string, err error) error {
	line := fmt.Sprintf("%s: vault at %s answered, but not with what was asked for: %v", op, v.cfg.Address, err)
	return &problem{line, err}
}

// certificate parses one PEM certificate out of an answer.
func certificate(out *api.Secret, field string) (*x509.Certificate, error) {
	if out == nil {
		return nil, errors.New("empty answer")
	}
	text, ok := out.Data[field].(string)
	if !ok {
		return nil, fmt.Errorf("no %s", field)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s is not PEM", field)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s does not parse: %w", field, err)
	}
	return cert, nil
}

func encode(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// colons prints a plain serial as Vault's paths want it: aa:bb:cc.
func colons(plain string) string {
	n, _ := new(big.Int).SetString(plain, 16) // plain comes from issuer.ParseSerial
	return strings.ReplaceAll(fmt.Sprintf("% x", n.Bytes()), " ", ":")
}
