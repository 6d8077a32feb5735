package azure_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/azure"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// keys are made once: RSA takes its time. The last one is weak.
var keys = sync.OnceValue(func() []*rsa.PrivateKey {
	var all []*rsa.PrivateKey
	for _, bits := range []int{2048, 2048, 2048, 1024} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		all = append(all, k)
	}
	return all
})

// issue makes a certificate for one of the keys; without by it issues itself.
func issue(t testing.TB, key int, by *x509.Certificate, byKey int, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(int64(100 + key)), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true}
	change(c)
	if by == nil {
		by = c
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, by, &keys()[key].PublicKey, keys()[byKey])
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	c.Subject.CommonName = "root"
}

// service is the certificate of a region's metadata service.
func service(c *x509.Certificate) {
	c.Subject.CommonName = "metadata.azure.com"
	c.DNSNames = []string{"metadata.azure.com", "germanywestcentral.metadata.azure.com"}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// named is service for other names.
func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { service(c); c.DNSNames = names }
}

// roots are believed.
func roots(t testing.TB, certs ...*x509.Certificate) *azure.Certificates {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, c := range certs {
		fsys[c.SerialNumber.String()+".pem"] = &fstest.MapFile{Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: c.Raw})}
	}
	r, err := azure.ReadRoots(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text is a document that is right in everything.
const text = `{"licenseType":"","nonce":"N7K2QYXT4VJHWZ3MBRCDLF5GSA","plan":{"name":""},"sku":"x",` +
	`"subscriptionId":"11111111-2222-3333-4444-555555555555","timeStamp":{"createdOn":"03/01/26 11:59:00 -0000",` +
	`"expiresOn":"03/01/26 17:59:00 -0000"},"vmId":"66666666-7777-8888-9999-aaaaaaaaaaaa"}`

// shown is a message as a node shows it.
func shown(der []byte) residency.Evidence {
	return residency.Evidence{Kind: azure.Kind, Document: []byte(base64.StdEncoding.EncodeToString(der))}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	root := issue(t, 0, nil, 0, authority)
	leaf := issue(t, 1, root, 0, service)
	v := azure.New(azure.Options{Roots: roots(t, root)})
	message := func(content string, bag []*x509.Certificate, by ...attesttest.Signer) []byte {
		return attesttest.Message{Content: []byte(content), Certs: bag, Signers: by}.DER(t)
	}
	by := attesttest.Signer{Cert: leaf, Key: keys()[1]}
	good := message(text, []*x509.Certificate{leaf}, by)
	for what, b := range map[string][]byte{"plain": good, "with lengths left open": attesttest.BER(good)} {
		if id, err := v.Verify(shown(b), expect); err != nil || id.Region != "germanywestcentral" {
			t.Fatalf("%s: %+v, %v", what, id, err)
		}
	}
	mallorys := issue(t, 2, nil, 2, service)                          // by itself
	forged := issue(t, 1, issue(t, 2, nil, 2, authority), 2, service) // by a root of her own
	mallory := attesttest.Signer{Cert: mallorys, Key: keys()[2]}
	posing := attesttest.Signer{Cert: leaf, Key: keys()[2]}
	late := func(c *x509.Certificate) { service(c); c.NotAfter = now.Add(-time.Minute) }
	abuse := attesttest.Signer{Cert: issue(t, 1, root, 0, late), Key: keys()[1], Attributes: true,
		SigningTime: now.Add(-30 * time.Minute)}
	weak := attesttest.Signer{Cert: issue(t, 3, root, 0, service), Key: keys()[3]}
	one := func(s attesttest.Signer) []byte { return message(text, []*x509.Certificate{s.Cert}, s) }
	swapped := by
	swapped.Over = []byte(strings.Replace(text, "6666", "7777", 1))
	sha1, dsa := by, by
	sha1.Digest, dsa.Algorithm = attesttest.SHA1, attesttest.DSA
	for what, tt := range map[string]struct {
		der   []byte
		check string
	}{
		// SPIRE 1.14.7: the chain was checked on the first certificate of the
		// bag, the signature by another.
		"a second certificate in the bag": {
			message(text, []*x509.Certificate{leaf, mallorys}, mallory), "certificates",
		},
		"a second certificate before it": {
			message(text, []*x509.Certificate{mallorys, leaf}, mallory), "certificates",
		},
		"a second certificate, good signer":  {message(text, []*x509.Certificate{leaf, root}, by), "certificates"},
		"another's certificate in the bag":   {message(text, []*x509.Certificate{leaf}, mallory), "signer"},
		"no certificate":                     {message(text, nil, by), "certificates"},
		"two signers":                        {message(text, []*x509.Certificate{leaf}, by, by), "signers"},
		"no signer":                          {message(text, []*x509.Certificate{leaf}), "signers"},
		"content swapped":                    {message(text, []*x509.Certificate{leaf}, swapped), "signature"},
		"one's own key under its name":       {one(posing), "signature"},
		"a self-signed certificate":          {one(mallory), "chain"},
		"a self-signed root of one's own":    {one(attesttest.Signer{Cert: forged, Key: keys()[1]}), "chain"},
		"expired chain":                      {one(attesttest.Signer{Cert: abuse.Cert, Key: keys()[1]}), "chain"},
		"expired chain, but an earlier time": {one(abuse), "chain"},
		"a weak key":                         {one(weak), "key size"},
		"a certificate for mail": {one(signer(t, root, func(c *x509.Certificate) {
			service(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		})), "chain"},
		"SHA-1":         {one(sha1), "algorithm"},
		"DSA":           {one(dsa), "algorithm"},
		"truncated DER": {good[:len(good)-1], "der"},
		"oversized DER": {make([]byte, signed.MaxSize+1), "der"},
		"trailing data": {append(bytes.Clone(good), 0), "der"},
		"no region":     {one(signer(t, root, named("metadata.azure.com"))), "region"},
		"another region beside it": {
			one(signer(t, root, named("eastus.metadata.azure.com", "westeurope.metadata.azure.com"))), "region",
		},
		"any region":                 {one(signer(t, root, named("*.metadata.azure.com"))), "region"},
		"no region but global":       {one(signer(t, root, named("global.metadata.azure.com"))), "region"},
		"a region in capital":        {one(signer(t, root, named("EastUS.metadata.azure.com"))), "region"},
		"a region with a hyphen":     {one(signer(t, root, named("east-us.metadata.azure.com"))), "region"},
		"two labels":                 {one(signer(t, root, named("x.eastus.metadata.azure.com"))), "region"},
		"another domain":             {one(signer(t, root, named("eastus.metadata.azure.com.example"))), "region"},
		"a domain that ends like it": {one(signer(t, root, named("eastus.xmetadata.azure.com"))), "region"},
		"another cloud's domain beside it": {
			one(signer(t, root, named("metadata.azure.us", "eastus.metadata.azure.com"))), "region",
		},
		"an address beside it": {
			one(signer(t, root, func(c *x509.Certificate) { service(c); c.IPAddresses = []net.IP{{192, 0, 2, 1}} })),
			"region",
		},
		"wrong nonce": {message(strings.Replace(text, "N7K2", "n7k2", 1), []*x509.Certificate{leaf}, by), "nonce"},
		"no nonce":    {message(strings.Replace(text, expect.Nonce, "", 1), []*x509.Certificate{leaf}, by), "document"},
		"other vmId":  {message(strings.Replace(text, "66666666", "66666667", 1), []*x509.Certificate{leaf}, by), "vmId"},
		"vmId twice": {
			message(strings.Replace(text, `{`, `{"vmID":"x",`, 1), []*x509.Certificate{leaf}, by), "document",
		},
		"expired": {
			message(strings.Replace(text, "03/01/26 17", "02/28/26 17", 1), []*x509.Certificate{leaf}, by), "expiresOn",
		},
		"expired to the second": {
			message(strings.Replace(text, "03/01/26 17:59", "03/01/26 12:00", 1), []*x509.Certificate{leaf}, by), "expiresOn",
		},
		"expired in another time zone": {
			message(strings.Replace(text, "17:59:00 -0000", "17:59:00 +0600", 1), []*x509.Certificate{leaf}, by), "expiresOn",
		},
		"expired before it was made": {
			message(strings.NewReplacer("11:59", "12:04", "17:59", "12:01").Replace(text), []*x509.Certificate{leaf}, by),
			"expiresOn",
		},
		"no expiry": {
			message(strings.Replace(text, "expiresOn", "expires", 1), []*x509.Certificate{leaf}, by), "document",
		},
		"an expiry that is no time": {
			message(strings.Replace(text, "03/01/26 17", "13/01/26 17", 1), []*x509.Certificate{leaf}, by), "expiresOn",
		},
		"made after our time": {
			message(strings.Replace(text, "11:59", "12:06", 1), []*x509.Certificate{leaf}, by), "createdOn",
		},
		"no times": {
			message(strings.Replace(text, "timeStamp", "stamp", 1), []*x509.Certificate{leaf}, by), "document",
		},
		"trailing data in the document": {message(text+"{}", []*x509.Certificate{leaf}, by), "document"},
	} {
		id, err := v.Verify(shown(tt.der), expect)
		if signed.Check(err) != tt.check || id != (residency.Identity{}) {
			t.Errorf("%s: %+v, %v; want it refused by %q", what, id, err, tt.check)
		}
	}
	for cloud, want := range map[string]string{"com": "eastus2", "us": "usgovvirginia", "cn": "chinanorth3"} {
		by := signer(t, root, named(want+".metadata.azure."+cloud))
		if id, err := v.Verify(shown(one(by)), expect); err != nil || id.Region != want {
			t.Errorf("%s: %+v, %v", cloud, id, err)
		}
	}
	if _, err := (&azure.Verifier{}).Verify(shown(good), expect); signed.Check(err) != "chain" {
		t.Errorf("who believes nobody: %v", err)
	}
}

// signer is one of the second key, below root.
func signer(t testing.TB, root *x509.Certificate, change func(*x509.Certificate)) attesttest.Signer {
	t.Helper()
	return attesttest.Signer{Cert: issue(t, 1, root, 0, change), Key: keys()[1]}
}

func FuzzVerify(f *testing.F) {
	root := issue(f, 0, nil, 0, authority)
	leaf := issue(f, 1, root, 0, service)
	v := azure.New(azure.Options{Roots: roots(f, root)})
	by := attesttest.Signer{Cert: leaf, Key: keys()[1]}
	message := func(t testing.TB, content []byte) []byte {
		return attesttest.Message{Content: content, Certs: []*x509.Certificate{leaf}, Signers: []attesttest.Signer{by}}.DER(t)
	}
	f.Add([]byte(text), true)
	f.Add(message(f, []byte(text)), false)
	f.Add(attesttest.BER(message(f, []byte(text))), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign { // reach the reader of documents
			if len(b) > signed.MaxSize/2 {
				return
			}
			b = message(t, b)
		}
		id, err := v.Verify(shown(b), expect)
		if err == nil && (id.Region != "germanywestcentral" || id.Instance != expect.Instance || id.Level != residency.L2) {
			t.Errorf("%x is taken as %+v", b, id)
		}
	})
}
