// Package azure verifies attested documents of Azure's instance metadata
// service.
//
// # What it proves
//
// The document is a PKCS #7 message with exactly one certificate, whose key
// signed it. At our time that certificate chains, by the intermediates the
// operator keeps, to one of the given roots; it is for a name of the form
// REGION.metadata.azure.com (or .us, .cn), which names the region; and the
// document repeats our nonce, has not run out and is of the machine (vmId) that
// our own create call returned, as "NAME.VMID" or alone: level L2.
//
// # What it does not prove
//
// The document holds no place and no key. The region is that of the service
// which signed; whether a machine is in an Extended Zone must come from the
// control plane. The controller binds the first key that comes with the
// document of an instance, and the trust says so: it ends in "-first-use".
//
// # Non-goals
//
// The package fetches no intermediates, reads no file but what it is given, and
// has no clock.
package azure

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// Kind is the kind of evidence: the document is the "signature" of
// metadata/attested/document, base64 of a PKCS #7 message; there is no other
// signature.
const Kind = "azure-attested"

// Trust is what an identity rests on.
const Trust = "azure-attested-first-use"

// skew is how far Azure's clock may be ahead of ours.
const skew = 5 * time.Minute

// Options are whom to believe. The zero Options believe nobody.
type Options struct {
	Roots         *Certificates
	Intermediates *Certificates

	TestRoots         *Certificates // of a test signer; nil for none
	TestIntermediates *Certificates
	AllowTest         bool // take its documents, with level L0 and trust "test"
}

// Verifier is a [residency.Verifier] for documents of Azure. Made by [New]; the
// zero Verifier refuses all.
type Verifier struct{ o Options }

// New returns the verifier that believes as the options say.
func New(o Options) *Verifier { return &Verifier{o} }

// Document is what Azure signed, and how well. Made by [Verifier.Open]; the
// zero Document is nobody's.
type Document struct {
	Region   string
	Account  string // subscriptionId
	Instance string // vmId
	Nonce    string
	Created  time.Time
	Expires  time.Time
	Level    residency.Level
	Trust    string
}

// Verify compares what was signed with what we know. Its errors are
// [signed.Error]s.
func (v *Verifier) Verify(e residency.Evidence, x residency.Expect) (residency.Identity, error) {
	if x.NodeKey == "" {
		return residency.Identity{}, signed.Fail("node key", "there is none to bind the document to")
	}
	d, err := v.Open(e, x.At)
	if err != nil {
		return residency.Identity{}, err
	}
	if err := d.Answers(x.Nonce); err != nil {
		return residency.Identity{}, err
	}
	if d.Instance != x.Instance && !strings.HasSuffix(x.Instance, "."+d.Instance) {
		return residency.Identity{}, signed.Fail("vmId", "the document is of %q, ours is %q", d.Instance, x.Instance)
	}
	return residency.Identity{Provider: "azure", Account: d.Account, Region: d.Region,
		Instance: x.Instance, Level: d.Level, Trust: d.Trust}, nil
}

// Answers returns an error unless the document repeats our nonce.
func (d Document) Answers(nonce string) error {
	if nonce == "" || d.Nonce != nonce {
		return signed.Fail("nonce", "the document does not repeat ours")
	}
	return nil
}

// Open verifies signature, chain and time and reads the bytes that were signed.
// Neither nonce nor machine is compared; Verify does that.
func (v *Verifier) Open(e residency.Evidence, at time.Time) (Document, error) {
	switch {
	case at.IsZero():
		return Document{}, signed.Fail("time", "ours is missing")
	case e.Kind != Kind:
		return Document{}, signed.Fail("kind", "evidence %q is not of Azure", e.Kind)
	case len(e.Signature) > 0:
		return Document{}, signed.Fail("document", "a second signature is beside it")
	}
	message, err := signed.Base64(e.Document)
	if err != nil {
		return Document{}, err
	}
	m, err := signed.Read(message)
	if err != nil {
		return Document{}, err
	}
	bag := m.Certificates()
	if len(bag) != 1 {
		return Document{}, signed.Fail("certificates", "the message brings %d certificates, want its signer's alone",
			len(bag))
	}
	content, err := m.Open(bag[0], nil)
	if err != nil {
		return Document{}, err
	}
	test, err := v.chain(bag[0], at)
	if err != nil {
		return Document{}, err
	}
	region, err := regionOf(bag[0])
	if err != nil {
		return Document{}, err
	}
	d, err := read(content)
	if err == nil {
		err = d.fresh(at)
	}
	if err != nil {
		return Document{}, err
	}
	d.Region, d.Level, d.Trust = region, residency.L2, Trust
	if test {
		d.Level, d.Trust = residency.L0, residency.TestTrust
	}
	return d, nil
}

// chain looks for a way from the signer to a root at our time, whatever time
// the signer gives. It reports whether only a test root was found.
func (v *Verifier) chain(c *x509.Certificate, at time.Time) (test bool, err error) {
	err = chains(c, v.o.Roots, v.o.Intermediates, at)
	if err == nil {
		return false, nil
	}
	if signed.Check(err) == "" {
		err = signed.Fail("chain", "%v", err)
	}
	if v.o.TestRoots == nil || chains(c, v.o.TestRoots, v.o.TestIntermediates, at) != nil {
		return false, err
	}
	if !v.o.AllowTest {
		return false, signed.Fail("trust", "the document is by a test signer, and allow_test_trust is not set")
	}
	return true, nil
}

// chains verifies a certificate. Every key on the way must be RSA of 2048 bits
// or more; SHA-1 is refused by crypto/x509.
func chains(c *x509.Certificate, roots, intermediates *Certificates, at time.Time) error {
	if roots == nil || len(roots.list) == 0 {
		return signed.Fail("chain", "no root is given")
	}
	ways, err := c.Verify(x509.VerifyOptions{Roots: roots.pool(), Intermediates: intermediates.pool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return err
	}
	for _, way := range ways {
		weak := false
		for _, c := range way {
			weak = weak || bits(c) < 2048
		}
		if !weak && len(way) > 1 {
			return nil
		}
	}
	return signed.Fail("key size", "a key on the way to the root is weaker than RSA-2048")
}

// clouds are the domains of the service: Azure, its US government cloud and
// that of China.
var clouds = []string{"metadata.azure.com", "metadata.azure.us", "metadata.azure.cn"}

// regionOf is the region the certificate is for: the leftmost label of the one
// name below the service's domain. The domain itself may be there too, and
// nothing else.
func regionOf(c *x509.Certificate) (string, error) {
	if len(c.EmailAddresses)+len(c.IPAddresses)+len(c.URIs) > 0 {
		return "", signed.Fail("region", "the certificate is for something else too")
	}
	region, cloud, bare := "", "", ""
	for _, name := range c.DNSNames {
		label, domain, _ := strings.Cut(name, ".")
		switch {
		case isCloud(name) && (bare == "" || bare == name):
			bare = name
		case isCloud(domain) && isRegion(label) && region == "":
			region, cloud = label, domain
		default:
			return "", signed.Fail("region", "the certificate is for %q too", name)
		}
	}
	if region == "" || bare != "" && bare != cloud {
		return "", signed.Fail("region", "the certificate names none under metadata.azure.com, .us or .cn")
	}
	return region, nil
}

func isCloud(name string) bool {
	for _, c := range clouds {
		if name == c {
			return true
		}
	}
	return false
}

// isRegion reports whether s is a name as Azure gives its regions: lower-case
// letters, then perhaps a number. "global" is none.
func isRegion(s string) bool {
	letters := strings.TrimRight(s, "0123456789")
	return letters != "" && len(s) <= 63 && s != "global" && strings.Trim(letters, "abcdefghijklmnopqrstuvwxyz") == ""
}

// stamp is how Azure writes a time.
const stamp = "01/02/06 15:04:05 -0700"

// read reads the document from bytes that were signed.
func read(b []byte) (Document, error) {
	o, err := signed.ParseObject(b)
	if err != nil {
		return Document{}, err
	}
	times, err := signed.ParseObject(o["timeStamp"])
	if err != nil {
		return Document{}, err
	}
	var d Document
	var created, expires string
	for _, f := range []struct {
		of  signed.Object
		key string
		to  *string
	}{{o, "subscriptionId", &d.Account}, {o, "vmId", &d.Instance}, {o, "nonce", &d.Nonce},
		{times, "createdOn", &created}, {times, "expiresOn", &expires}} {
		if *f.to, err = f.of.Text(f.key); err != nil {
			return Document{}, err
		}
	}
	if d.Created, err = time.Parse(stamp, created); err != nil {
		return Document{}, signed.Fail("createdOn", "%q is no time", created)
	}
	if d.Expires, err = time.Parse(stamp, expires); err != nil {
		return Document{}, signed.Fail("expiresOn", "%q is no time", expires)
	}
	d.Created, d.Expires = d.Created.UTC(), d.Expires.UTC()
	return d, nil
}

// fresh holds the document's times against ours.
func (d Document) fresh(at time.Time) error {
	switch {
	case !at.Before(d.Expires):
		return signed.Fail("expiresOn", "the document expired at %s, our time is %s",
			d.Expires.Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	case at.Add(skew).Before(d.Created):
		return signed.Fail("createdOn", "the document was made at %s, after our time", d.Created.Format(time.RFC3339))
	case !d.Created.Before(d.Expires):
		return signed.Fail("expiresOn", "the document expires before it was made")
	}
	return nil
}
