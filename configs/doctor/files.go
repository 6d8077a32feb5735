package doctor

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Soon is how long before its end a certificate is warned of.
const Soon = 30 * 24 * time.Hour

// oldTable is how long after its day a place table is warned of: providers open
// and close zones.
const oldTable = 365 * 24 * time.Hour

// Secret looks at a file that nobody but its owner may read, and reads nothing
// of it.
func Secret(what, path string) []Finding {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Coded(frame.KeyMissing, fmt.Errorf("read %s: %w", what, err))
	case info.Mode().Perm()&0o077 != 0:
		return Bad(fmt.Errorf("read %s %s: others may read it (mode %04o)", what, path, info.Mode().Perm()),
			"chmod 600 it, and think of it as known to them: rotate it")
	case !info.Mode().IsRegular() || info.Size() == 0:
		return Coded(frame.KeyMissing, fmt.Errorf("read %s %s: it is no file, or empty", what, path))
	}
	return nil
}

// Signer looks at a note signer's key file of a role, one of audit's, and holds
// it against the verifier key that others have of it.
func Signer(what, path, role, public string) []Finding {
	if f := Secret(what, path); f != nil {
		return f
	}
	k, err := keys.Open(path, role)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	vkey, err := keys.VKey(public)
	if err == nil && vkey != k.VKey {
		err = fmt.Errorf("read %s: %s is not the public half of %s", what, public, path)
	}
	if err != nil {
		return Bad(err, "put the pair there that belongs together; burstctl keys public prints the public half")
	}
	return nil
}

// Pair looks at an Ed25519 key file and, unless public is "", its public half.
func Pair(what, path, public string) []Finding {
	key, err := keys.Ed25519(path)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	if public == "" {
		return nil
	}
	pub, err := keys.Ed25519Public(public)
	if err == nil && !pub.Equal(key.Public().(ed25519.PublicKey)) {
		err = fmt.Errorf("read %s: %s is not the public half of %s", what, public, path)
	}
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	return nil
}

// Certificate looks at a certificate of the house: its key, its chain to ca,
// its one identity, and how long it is good for.
func Certificate(cert, key, ca string, want tunnel.Identity) []Finding {
	pair, err := keys.Certificate(cert, key)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	roots, err := keys.Pool(ca)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return Coded(frame.KeyMissing, fmt.Errorf("read certificate %s: %w", cert, err))
	}
	if f := lasts("certificate "+cert, leaf); f != nil && f[0].Standing == Fail {
		return f
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	switch {
	case err != nil:
		return Bad(fmt.Errorf("verify certificate %s against %s: %w", cert, ca, err), "name the CA that has signed it")
	case len(leaf.URIs) != 1 || leaf.URIs[0].String() != want.URI():
		return Bad(fmt.Errorf("read certificate %s: it is %v, want %s", cert, leaf.URIs, want.URI()),
			"use the folder of keys that was made for this machine, and the domain it was made for")
	}
	return lasts("certificate "+cert, leaf)
}

// Authority looks at a file of CA certificates: whether each is one, and how
// long it is good for.
func Authority(what, path string) []Finding {
	b, err := os.ReadFile(path)
	if err != nil {
		return Coded(frame.KeyMissing, fmt.Errorf("read %s: %w", what, err))
	}
	var found []Finding
	n := 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !c.IsCA {
			err = errors.New("it is not the certificate of an authority")
		}
		if err != nil {
			return Coded(frame.KeyMissing, fmt.Errorf("read %s %s: %w", what, path, err))
		}
		n++
		found = append(found, lasts(what+" "+path, c)...)
	}
	if n == 0 {
		return Coded(frame.KeyMissing, fmt.Errorf("read %s %s: it holds no certificate", what, path))
	}
	return found
}

// lasts is nil for a certificate that is good for a month and more.
func lasts(what string, c *x509.Certificate) []Finding {
	now := time.Now()
	const fix = "have a new one made; burstctl keys init shows of what form"
	switch day := c.NotAfter.UTC().Format(time.DateOnly); {
	case now.After(c.NotAfter):
		return Bad(fmt.Errorf("%s ran out on %s", what, day), fix)
	case now.Before(c.NotBefore):
		return Bad(fmt.Errorf("%s is good from %s only", what, c.NotBefore.UTC().Format(time.RFC3339)),
			"set this machine's clock, or wait")
	case now.Add(Soon).After(c.NotAfter):
		return Warned(fix, "%s runs out on %s", what, day)
	}
	return nil
}

// Law is how rules, places and catalogue are read. Made by each command of what
// it reads itself; all three are required.
type Law struct {
	Rules     func() (*residency.Rules, error)
	Places    func() (*residency.Table, error)
	Catalogue func() (*residency.Catalogue, error)
}

// Checks look at each of the three, and whether they fit each other.
func (l Law) Checks(needs ...string) []Check {
	var rules *residency.Rules
	var places *residency.Table
	var catalogue *residency.Catalogue
	return []Check{
		{Name: "rules", Needs: needs, Ask: func(context.Context) (f []Finding) {
			var err error
			if rules, err = l.Rules(); err != nil {
				return Coded(frame.BadRules, err)
			}
			return Good("%d rules, %.19s…", len(rules.List()), rules.Digest())
		}},
		{Name: "places", Needs: needs, Ask: func(context.Context) []Finding {
			var err error
			if places, err = l.Places(); err != nil {
				return Coded(frame.BadPlaces, err)
			}
			return edition(places)
		}},
		{Name: "catalogue", Needs: needs, Ask: func(context.Context) []Finding {
			var err error
			if catalogue, err = l.Catalogue(); err != nil {
				return Coded(frame.BadCatalogue, err)
			}
			return Good("%d slices", len(catalogue.Names()))
		}},
		{Name: "rules fit", Needs: []string{"rules", "places", "catalogue"}, Ask: func(context.Context) (f []Finding) {
			for _, m := range rules.Strangers(places, catalogue) {
				f = append(f, Warned("spell it as the table and the catalogue do, or take the rule out", "%s", m.String())...)
			}
			if f == nil {
				f = Good("every value a rule names is in the place table or the catalogue")
			}
			return f
		}},
	}
}

// edition tells which table it is and how old.
func edition(t *residency.Table) []Finding {
	what := fmt.Sprintf("edition %d of %s, %d places, its signatures hold", t.Version(), t.Dated(), len(t.Places()))
	day, err := time.Parse(time.DateOnly, t.Dated())
	if err != nil || time.Since(day) > oldTable {
		return Warned("compare it with burstctl places list, and have a new edition signed", "%s, but that is long ago", what)
	}
	return Good("%s", what)
}

// Room looks at how much is free where dir is, or will be.
func Room(what, dir string) []Finding {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); errors.Is(err, fs.ErrNotExist) {
		return Good("%s %s is not there yet", what, dir)
	} else if err != nil {
		return Coded(frame.FileFailed, fmt.Errorf("look at %s: %w", what, err))
	}
	free, whole := int64(s.Bavail)*s.Bsize>>20, int64(s.Blocks)*s.Bsize>>20
	const fix = "free space, or move the directory: nothing is decided that cannot be entered"
	switch {
	case free < 64:
		return Bad(fmt.Errorf("%s: %d MiB of %d free at %s", what, free, whole, dir), fix)
	case free < 1024:
		return Warned(fix, "%s: %d MiB of %d free at %s", what, free, whole, dir)
	}
	return Good("%s: %d MiB of %d free", what, free, whole)
}

// Trust reads a trust file, which must name the log's key of logKey.
func Trust(path, logKey string) []Finding {
	text, err := os.ReadFile(path)
	if err != nil {
		return Coded(frame.TrustMissing, fmt.Errorf("read trust: %w", err))
	}
	t, err := audit.ParseTrust(text)
	if err != nil {
		return Coded(frame.TrustMissing, fmt.Errorf("read trust: %s:%w", path, err))
	}
	log, err := keys.Verifier(logKey)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	for _, v := range t.LogVerifiers(log.Name()) {
		if v.KeyHash() == log.KeyHash() {
			return Good("it names the log %s", log.Name())
		}
	}
	return Bad(fmt.Errorf("read trust %s: it does not name the log's key in %s", path, logKey),
		"get both from the person who made the log's key")
}
