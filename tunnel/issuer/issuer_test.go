package issuer_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel/issuer"
	"github.com/burstctl/burstctl/tunnel/issuer/issuertest"
)

const domain = "claims.example"

func newPair(t *testing.T) tls.Certificate {
	t.Helper()
	certPEM, keyPEM, err := issuer.NewCA(time.Now(), domain)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestTheInProcessCAKeepsTheContract(t *testing.T) {
	ca, err := issuer.New(time.Now, domain, newPair(t))
	if err != nil {
		t.Fatal(err)
	}
	issuertest.TestIssuer(t, issuertest.Subject{Issuer: ca, Domain: domain, Roots: ca.CA})
}

func TestARestartedCAKnowsWhatTheLogHolds(t *testing.T) {
	pair := newPair(t)
	before, err := issuer.New(time.Now, domain, pair)
	if err != nil {
		t.Fatal(err)
	}
	var serials []string
	for range 2 {
		csr := issuertest.GrantRequest(t, issuertest.Key(t), domain, "g1")
		cred, err := before.Issue(t.Context(), csr, "g1", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		serials = append(serials, cred.Serial)
	}
	after, err := issuer.New(time.Now, domain, pair)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Revoked(t.Context(), serials[0]); err == nil {
		t.Error("an empty memory answered")
	}
	if err := after.Restore(serials, serials[1:]); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		if got, err := after.Revoked(t.Context(), serials[i]); err != nil || got != want {
			t.Errorf("Revoked(%d) = %v, %v, want %v", i, got, err, want)
		}
	}
	if err := after.Revoke(t.Context(), serials[0]); err != nil {
		t.Errorf("revoke what the earlier process issued: %v", err)
	}
}

func TestACredentialPastItsEndIsGone(t *testing.T) {
	now := time.Now()
	ca, err := issuer.New(func() time.Time { return now }, domain, newPair(t))
	if err != nil {
		t.Fatal(err)
	}
	csr := issuertest.GrantRequest(t, issuertest.Key(t), domain, "g1")
	cred, err := ca.Issue(t.Context(), csr, "g1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute + 2*issuer.Skew)
	if gone, err := ca.Revoked(t.Context(), cred.Serial); err != nil || !gone {
		t.Errorf("Revoked = %v, %v, want true after %s", gone, err, cred.NotAfter)
	}
	if err := ca.Revoke(t.Context(), cred.Serial); err != nil {
		t.Errorf("revoke after the end: %v", err)
	}
}

func TestACAThatEndsFirstIssuesNothing(t *testing.T) {
	later := func() time.Time { return time.Now().AddDate(1, 0, 0) }
	ca, err := issuer.New(later, domain, newPair(t))
	if err != nil {
		t.Fatal(err)
	}
	csr := issuertest.GrantRequest(t, issuertest.Key(t), domain, "g1")
	if _, err := ca.Issue(t.Context(), csr, "g1", time.Minute); err == nil || !strings.Contains(err.Error(), "CA ends") {
		t.Errorf("err = %v, want the CA's end named", err)
	}
}

func TestAnIssuerNeedsAPlainDomainAndARealCA(t *testing.T) {
	pair := newPair(t)
	for name, try := range map[string]func() (*issuer.CA, error){
		"no clock":    func() (*issuer.CA, error) { return issuer.New(nil, domain, pair) },
		"no CA":       func() (*issuer.CA, error) { return issuer.New(time.Now, domain, tls.Certificate{}) },
		"odd domain":  func() (*issuer.CA, error) { return issuer.New(time.Now, "a/b", pair) },
		"zero domain": func() (*issuer.CA, error) { return issuer.New(time.Now, "", pair) },
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s: made one", name)
		}
	}
}

func TestSerialsReadTheSameHoweverTheyArePrinted(t *testing.T) {
	for in, want := range map[string]string{
		"0A:bC:01": "0abc01", "0a-bc-01": "0abc01", "0abc01": "0abc01", "00:ff": "ff",
		"": "", "abc": "", "zz": "", strings.Repeat("ab", 21): "",
	} {
		got, err := issuer.ParseSerial(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseSerial(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}
