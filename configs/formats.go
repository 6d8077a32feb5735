package configs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// format is a kind of text the schemas name.
type format struct {
	name    string
	example string
	check   func(string) error
}

// validate is check as the schema validator calls it; what is not text is not
// its matter.
func (f format) validate(v any) error {
	if s, ok := v.(string); ok {
		return f.check(s)
	}
	return nil
}

// formats lists every format the schemas may name.
func formats() []format {
	return []format{
		{"go-duration", "write it as in 30s, 5m or 1h30m", isDuration},
		{"money", "write it as in 12.50 USD", isMoney},
		{"host-port", "write it as in controller.example.org:8443 or 127.0.0.1:8443", isHostPort},
		{"place", "write it as in aws/eu-central-1 or aws/eu-central-1/eu-central-1a", isPlace},
		{"name", "use a-z, 0-9 and single hyphens, beginning with a letter", isName},
		{"domain", "write it as in burst.example.org", isDomain},
		{"slice", "write it as in claims/2025-q3", isSlice},
		{"digest", "write it as in sha256: and 64 hexadecimal digits", isDigest},
		{"inside", "write a relative path without .., as in claims/2025-q3", isInside},
		{"tls-url", "write it as in tls://nats.example.org:4222", func(s string) error { return isURL(s, "tls") }},
		{"https-url", "write it as in https://vault.example.org:8200", func(s string) error { return isURL(s, "https") }},
	}
}

// formatExample is the remedy for a text of the wrong format.
func formatExample(name string) string {
	for _, f := range formats() {
		if f.name == name {
			return f.example
		}
	}
	return "see the commented example in configs/"
}

func isDuration(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration", s)
	case d <= 0:
		return fmt.Errorf("%q is not longer than nothing", s)
	}
	return nil
}

func isMoney(s string) error {
	if m, err := policy.ParseMoney(s); err != nil || m.Micros <= 0 {
		return fmt.Errorf("%q is not an amount above zero with a currency", s)
	}
	return nil
}

func isHostPort(s string) error {
	if _, err := netip.ParseAddrPort(s); err == nil {
		return nil
	}
	host, port, ok := strings.Cut(s, ":")
	if _, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || isHost(host) != nil {
		return fmt.Errorf("%q is not host:port", s)
	}
	return nil
}

// isHost takes a name or an address, in lower case.
func isHost(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if s == "" || len(s) > 253 {
		return errors.New("no host")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("%q is not a host", s)
		}
	}
	return nil
}

func isDomain(s string) error {
	if isHost(s) != nil || strings.Trim(s, "0123456789.:") == "" {
		return fmt.Errorf("%q is not a lower-case domain name", s)
	}
	return nil
}

func isPlace(s string) error {
	_, err := residency.ParseAddress(s)
	if err != nil {
		return fmt.Errorf("%q is not a provider, a region and perhaps a zone", s)
	}
	return nil
}

func isName(s string) error {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' || strings.Contains(s, "--") ||
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q is not a plain lower-case name", s)
	}
	return nil
}

func isSlice(s string) error {
	dataset, part, ok := strings.Cut(s, "/")
	if !ok || isName(dataset) != nil || part == "" || len(part) > 128 ||
		strings.ContainsAny(part[:1]+part[len(part)-1:], "-_.") ||
		strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return fmt.Errorf("%q is not a dataset and one of its slices", s)
	}
	return nil
}

func isDigest(s string) error {
	digits, ok := strings.CutPrefix(s, "sha256:")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != 32 || strings.ToLower(digits) != digits {
		return fmt.Errorf("%q is not a SHA-256 digest", s)
	}
	return nil
}

func isInside(s string) error {
	if !filepath.IsLocal(s) || filepath.Clean(s) != s || strings.Contains(s, `\`) {
		return fmt.Errorf("%q does not stay inside", s)
	}
	return nil
}

func isURL(s, scheme string) error {
	u, err := url.Parse(s)
	here := err == nil && scheme == "https" && u.Scheme == "http" && loopback(u.Hostname())
	switch {
	case err != nil || u.Host == "" || u.Scheme != scheme && !here:
		return fmt.Errorf("it is not %s:// and a host", scheme) // the text is not repeated: it could hold a password
	case u.User != nil:
		return errors.New("it holds a user or a password")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("it holds a query or a fragment")
	}
	return nil
}

// loopback reports whether host is this machine and nothing else.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
