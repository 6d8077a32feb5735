package signed_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// keys are made once: RSA takes its time.
var keys = sync.OnceValue(func() []*rsa.PrivateKey {
	var all []*rsa.PrivateKey
	for _, bits := range []int{2048, 2048, 1024} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		all = append(all, k)
	}
	return all
})

// certificate is one for a key, by itself.
func certificate(t testing.TB, serial int64, key any, sign any) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key, sign)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// good is a message and the certificate it opens with.
func good(t testing.TB) (attesttest.Message, *x509.Certificate) {
	k := keys()[0]
	c := certificate(t, 7, &k.PublicKey, k)
	return attesttest.Message{Content: []byte(`{"region":"eu-central-1"}`), Certs: []*x509.Certificate{c},
		Signers: []attesttest.Signer{{Cert: c, Key: k}}}, c
}

// open reads a message and opens it with c.
func open(b []byte, c *x509.Certificate, beside []byte) ([]byte, error) {
	m, err := signed.Read(b)
	if err != nil {
		return nil, err
	}
	return m.Open(c, beside)
}

func TestAMessageOpensWithItsSignersCertificate(t *testing.T) {
	for what, change := range map[string]func(*attesttest.Message){
		"the content signed":   func(*attesttest.Message) {},
		"attributes signed":    func(m *attesttest.Message) { m.Signers[0].Attributes = true },
		"without certificates": func(m *attesttest.Message) { m.Certs = nil },
		"with a signing time": func(m *attesttest.Message) {
			m.Signers[0].Attributes, m.Signers[0].SigningTime = true,
				time.Now()
		},
		"the content elsewhere": func(m *attesttest.Message) { m.Detached = true },
		"elsewhere, attributes": func(m *attesttest.Message) { m.Detached, m.Signers[0].Attributes = true, true },
	} {
		m, c := good(t)
		change(&m)
		var beside []byte
		if m.Detached {
			beside = m.Content
		}
		for spelling, b := range map[string][]byte{"DER": m.DER(t), "BER": attesttest.BER(m.DER(t))} {
			got, err := open(b, c, beside)
			if err != nil || !bytes.Equal(got, m.Content) {
				t.Errorf("%s in %s: %q, %v", what, spelling, got, err)
			}
		}
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	other := certificate(t, 8, &keys()[1].PublicKey, keys()[1])
	weak := certificate(t, 7, &keys()[2].PublicKey, keys()[2])
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := certificate(t, 7, &curve.PublicKey, curve)
	for what, tt := range map[string]struct {
		change func(*attesttest.Message)
		with   *x509.Certificate // nil: the right one
		beside string
		check  string
	}{
		"no signer": {change: func(m *attesttest.Message) { m.Signers = nil }, check: "signers"},
		"two signers": {
			change: func(m *attesttest.Message) { m.Signers = append(m.Signers, m.Signers[0]) }, check: "signers",
		},
		"unsigned attributes": {
			change: func(m *attesttest.Message) { m.Signers[0].Unsigned = true }, check: "signers",
		},
		"SHA-1": {
			change: func(m *attesttest.Message) { m.Signers[0].Digest = attesttest.SHA1 }, check: "algorithm",
		},
		"DSA": {
			change: func(m *attesttest.Message) { m.Signers[0].Algorithm = attesttest.DSA }, check: "algorithm",
		},
		"a revocation list":   {change: func(m *attesttest.Message) { m.Lists = true }, check: "certificates"},
		"another certificate": {with: other, check: "signer"},
		"another key of its name": {
			change: func(m *attesttest.Message) { m.Signers[0].Key = keys()[1] }, check: "signature",
		},
		"a weak key": {
			change: func(m *attesttest.Message) { m.Signers[0].Key = keys()[2] }, with: weak, check: "key size",
		},
		"a key on a curve": {with: ec, check: "algorithm"},
		"content swapped": {
			change: func(m *attesttest.Message) { m.Signers[0].Over = []byte("{}") }, check: "signature",
		},
		"content swapped, digest": {
			change: func(m *attesttest.Message) { m.Signers[0].Over, m.Signers[0].Attributes = []byte("{}"), true },
			check:  "content",
		},
		"content beside it":        {beside: `{"region":"us-east-1"}`, check: "content"},
		"content in neither place": {change: func(m *attesttest.Message) { m.Detached = true }, check: "content"},
		"other content elsewhere": {
			change: func(m *attesttest.Message) { m.Detached = true }, beside: "{}", check: "signature",
		},
	} {
		m, c := good(t)
		if tt.change != nil {
			tt.change(&m)
		}
		if tt.with != nil {
			c = tt.with
			if tt.check != "signer" { // let it bear the name that the message gives
				m.Signers[0].Cert = c
			}
		}
		var beside []byte
		if tt.beside != "" {
			beside = []byte(tt.beside)
		}
		if got, err := open(m.DER(t), c, beside); err == nil || signed.Check(err) != tt.check || got != nil {
			t.Errorf("%s: %q, %v; want it refused by %q", what, got, err, tt.check)
		}
	}
}

func TestAMessageHasOneLengthAndNothingAround(t *testing.T) {
	m, c := good(t)
	der := m.DER(t)
	for _, b := range [][]byte{der, attesttest.BER(der)} {
		for n := range len(b) {
			if _, err := open(b[:n], c, nil); err == nil {
				t.Fatalf("it opens when cut to %d of %d bytes", n, len(b))
			}
		}
		for _, tail := range [][]byte{{0}, {0, 0}, {5, 0}, b} {
			if _, err := open(append(bytes.Clone(b), tail...), c, nil); signed.Check(err) != "der" {
				t.Errorf("it opens with % x behind it: %v", tail[:min(4, len(tail))], err)
			}
		}
	}
}

func TestSpellingsThatAreRefused(t *testing.T) {
	m, c := good(t)
	der := m.DER(t)
	ber := attesttest.BER(der)
	in := func(b []byte, old, new string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no % x in it", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	signature := "\x04\x82\x01\x00" + string(der[len(der)-256:])
	parts := in(ber, signature, "\x24\x80"+signature+"\x00\x00")
	large := m
	large.Content = make([]byte, signed.MaxSize)
	for what, tt := range map[string]struct {
		b   []byte
		why string
	}{
		"nothing":                         {nil, "has 0 bytes"},
		"a large message":                 {large.DER(t), "bytes, want 1 to 32768"},
		"a length in three bytes":         {append([]byte{der[0], 0x83, 0}, der[2:]...), "oversized"},
		"a length of gigabytes":           {[]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, "oversized"},
		"a short length in long form":     {in(ber, "\x02\x01\x01", "\x02\x81\x01\x01"), "shortest spelling"},
		"a long length in longer form":    {[]byte{0x30, 0x82, 0, 0x85}, "shortest spelling"},
		"nested without end":              {bytes.Repeat([]byte{0x30, 0x80}, 10_000), "too deeply"},
		"a tag of many bytes":             {[]byte{0x3f, 0x81, 1, 0}, "tag of many bytes"},
		"a text in parts":                 {[]byte{0x2c, 0x80, 0x0c, 1, 'x', 0, 0}, "in parts that may have none"},
		"a signature in parts":            {parts, "in parts that may have none"},
		"an integer among a text's parts": {[]byte{0xa0, 0x80, 0x24, 0x80, 2, 1, 1, 0, 0, 0, 0}, "part that is none"},
		"an end mark alone":               {[]byte{0x30, 2, 0, 0}, "end mark"},
		"a plain value left open":         {[]byte{4, 0x80, 0, 0}, "plain value"},
		"not PKCS #7":                     {[]byte{0x30, 3, 2, 1, 1}, "no PKCS #7 signed data"},
	} {
		got, err := open(tt.b, c, nil)
		if signed.Check(err) != "der" || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %q, %v; want it refused: %s", what, got, err, tt.why)
		}
	}
}

func TestSignedAttributesThatAreRefused(t *testing.T) {
	const kind, data = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03", "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	for what, tt := range map[string]struct {
		rewrite func(b []byte) []byte // two attributes: the content's type in 26 bytes, then its digest
		check   string
	}{
		"none":           {func([]byte) []byte { return nil }, "signers"},
		"no type":        {func(b []byte) []byte { return b[26:] }, "content"},
		"no digest":      {func(b []byte) []byte { return b[:26] }, "content"},
		"two types":      {func(b []byte) []byte { return append(bytes.Clone(b[:26]), b...) }, "content"},
		"two digests":    {func(b []byte) []byte { return append(bytes.Clone(b), b[26:]...) }, "content"},
		"another type":   {func(b []byte) []byte { return bytes.Replace(b, []byte(data), []byte(kind), 1) }, "content"},
		"a short digest": {func(b []byte) []byte { return append(bytes.Clone(b[:26]), cut(b[26:])...) }, "content"},
		"no attribute":   {func(b []byte) []byte { return append(bytes.Clone(b), 5, 0) }, "signers"},
	} {
		m, c := good(t)
		m.Signers[0].Attributes, m.Signers[0].Rewrite = true, tt.rewrite
		if got, err := open(m.DER(t), c, nil); signed.Check(err) != tt.check {
			t.Errorf("%s: %q, %v; want it refused by %q", what, got, err, tt.check)
		}
	}
}

// cut makes the digest in an attribute one byte shorter.
func cut(attr []byte) []byte {
	b := bytes.Clone(attr[:len(attr)-1])
	b[1]--              // the attribute
	b[len(b)-32-2]--    // its set
	b[len(b)-31-1] = 31 // its octet string
	return b
}

func TestWeakAlgorithmsAreNamed(t *testing.T) {
	m, c := good(t)
	for name, change := range map[string]func(*attesttest.Signer){
		"SHA-1":         func(s *attesttest.Signer) { s.Digest = attesttest.SHA1 },
		"DSA with SHA-": func(s *attesttest.Signer) { s.Algorithm = attesttest.DSA },
	} {
		weak := m
		weak.Signers = []attesttest.Signer{m.Signers[0]}
		change(&weak.Signers[0])
		if _, err := open(weak.DER(t), c, nil); err == nil || !strings.HasPrefix(err.Error(), "algorithm: "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const sha256 = "\x30\x80\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x00\x00"
	two := bytes.Replace(attesttest.BER(m.DER(t)), []byte(sha256), []byte(sha256+sha256), 1)
	if _, err := open(two, c, nil); signed.Check(err) != "algorithm" {
		t.Errorf("two digest algorithms: %v", err)
	}
}

func TestEveryBitOfAMessageCounts(t *testing.T) {
	m, c := good(t)
	m.Signers[0].Attributes, m.Certs = true, nil
	for _, b := range [][]byte{m.DER(t), attesttest.BER(m.DER(t))} {
		for i := range len(b) * 8 {
			flipped := bytes.Clone(b)
			flipped[i/8] ^= 1 << (i % 8)
			if got, err := open(flipped, c, nil); err == nil {
				t.Errorf("it opens with bit %d of byte %d flipped: %q", i%8, i/8, got)
			}
		}
	}
}

func TestAnObjectHasEachKeyOnce(t *testing.T) {
	o, err := signed.ParseObject([]byte(" {\"a\":\"x\",\"b\":{\"a\":1},\"c\":null,\"d\":\"\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := o.Text("a"); err != nil || s != "x" {
		t.Errorf("%q, %v", s, err)
	}
	for _, key := range []string{"A", "b", "c", "d", "e"} {
		if s, err := o.Text(key); err == nil {
			t.Errorf("the text at %s is %q", key, s)
		}
	}
	for _, b := range []string{"", "[]", "null", `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"a":1}{}`, `{"a":1} x`, `{"a":1`,
		`{"a"}`,
		"{\"a\":\"\xff\"}", `{a:1}`, `{"a":1,}`} {
		if o, err := signed.ParseObject([]byte(b)); signed.Check(err) != "document" {
			t.Errorf("%s is read as %v, %v", b, o, err)
		}
	}
}

func TestBase64IsReadInOneSpelling(t *testing.T) {
	for text, want := range map[string]string{"": "", "eA==": "x", "eHh4": "xxx", "eH\nh4": "xxx", "eHh4\r\n": "xxx"} {
		if b, err := signed.Base64([]byte(text)); err != nil || string(b) != want {
			t.Errorf("%q is read as %q, %v", text, b, err)
		}
	}
	long := strings.Repeat("eHh4", 17_000)
	for _, text := range []string{"eA", "eA=", "eB==", "eHh4 ", " eHh4", "e-_4", "eHh4=", "eA==eA==", long} {
		if b, err := signed.Base64([]byte(text)); signed.Check(err) != "base64" {
			t.Errorf("%q is read as %d bytes, %v", text[:min(8, len(text))], len(b), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	m, c := good(f)
	f.Add(m.DER(f))
	f.Add(attesttest.BER(m.DER(f)))
	m.Signers[0].Attributes = true
	f.Add(m.DER(f))
	f.Add(attesttest.BER(m.DER(f)))
	real, err := os.ReadFile("../azure/testdata/azure-southcentralus-2022.pkcs7.b64")
	if err != nil {
		f.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(string(real))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := signed.Read(b)
		if err != nil {
			return
		}
		for _, by := range append(m.Certificates(), c) {
			content, err := m.Open(by, nil)
			if err != nil {
				continue
			}
			agrees(t, b, by, content)
		}
	})
}

// agrees: another reader of the format takes what ours took, with the same content.
func agrees(t *testing.T, b []byte, by *x509.Certificate, content []byte) {
	p, err := pkcs7.Parse(b)
	if err != nil {
		t.Fatalf("only we read %x: %v", b, err)
	}
	p.Certificates = []*x509.Certificate{by}
	err = p.VerifyWithChainAtTime(nil, time.Date(2022, 4, 19, 2, 0, 0, 0, time.UTC))
	if _, outside := err.(*pkcs7.SigningTimeNotValidError); outside {
		return // it looks at the signer's time, which we do not
	}
	if err != nil || len(p.Signers) != 1 || !bytes.Equal(p.Content, content) {
		t.Fatalf("we open %x as %q, another as %q (%v)", b, content, p.Content, err)
	}
}
