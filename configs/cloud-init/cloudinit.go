// Package cloudinit writes what a cloud machine is told at its first boot: how
// to end itself, whom it may talk to, and which program to run.
//
// # In this order
//
// The dead-man switch comes first, before the network: a machine on which all
// else fails still ends with its lease. Then swap and core dumps go, the program
// is fetched and is what its digest says, the fence closes, scratch is encrypted
// by a key nobody keeps, and the agent starts. Whatever fails ends the machine,
// and so does the agent's end.
//
// # What is public
//
// All of it. Everybody on the machine may read its user data, so there is no
// secret in it: addresses, digests, a claim.
//
// # Non-goals
//
// The image brings systemd, cloud-init, nftables, cryptsetup, curl and the GPU's
// driver; nothing is installed at boot. No names are resolved there.
package cloudinit

import (
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/burstctl/burstctl/pools"
)

// Site is what all machines of a house are told alike. Made by cmd/burstctl from
// the config file; the zero Site is refused.
type Site struct {
	Program string           // https URL of burstctl for this kind of machine
	SHA256  string           // of it, 64 hexadecimal digits
	Control []netip.AddrPort // addresses of the control endpoint, IPv4
	Edges   []netip.Prefix   // from where the edge dials, IPv4
	Clocks  []netip.Addr     // NTP servers, IPv4; none: the provider's own
	Road    uint16           // port the edge dials
}

// Limit is how much user data EC2 takes, in bytes before base64. Azure takes more.
// Source: docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
const Limit = 16 << 10

//go:embed parts
var parts embed.FS

// machine is all that the parts may ask for.
type machine struct {
	Site
	Provider string
}

// providers that have a way to end themselves, with their own clock.
var clocks = map[string]netip.Addr{
	"aws":   netip.MustParseAddr("169.254.169.123"), // Amazon Time Sync Service
	"azure": {},                                     // the host's clock, through a device
}

// Render writes the user data of one machine, as cloud-config. It refuses a
// machine without an end, and an endpoint or program that is not pinned.
func Render(l pools.Launch, most time.Duration, s Site) ([]byte, error) {
	provider := l.Offer.At.Provider
	if err := s.check(provider); err != nil {
		return nil, fmt.Errorf("write user data: %w", err)
	}
	if l.Expires.IsZero() || most < time.Minute {
		return nil, fmt.Errorf("write user data: a machine without an end is not started (expires %v, at most %s)",
			l.Expires, most)
	}
	if ntp := clocks[provider]; len(s.Clocks) == 0 && ntp.IsValid() {
		s.Clocks = []netip.Addr{ntp}
	}
	if len(s.Clocks) == 0 {
		s.Clocks = []netip.Addr{netip.MustParseAddr("127.0.0.1")} // a set may not be empty
	}
	m := machine{s, provider}
	files, err := m.files(l)
	if err != nil {
		return nil, fmt.Errorf("write user data: %w", err)
	}
	arm, err := arm(provider, l.Expires, most)
	if err != nil {
		return nil, fmt.Errorf("write user data: %w", err)
	}
	doc, err := yaml.MarshalWithOptions(config{
		Bootcmd: []string{arm}, WriteFiles: files, RunCmd: []string{"/usr/local/lib/burst/start"},
		NoRoot: true,
	}, yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, fmt.Errorf("write user data: %w", err)
	}
	doc = append([]byte("#cloud-config\n"), doc...)
	if len(doc) > Limit {
		return nil, fmt.Errorf("write user data: %d bytes are more than the %d a cloud takes", len(doc), Limit)
	}
	return doc, nil
}

// config is the part of cloud-config that is used.
// Source: cloudinit.readthedocs.io/en/latest/reference/modules.html
type config struct {
	Bootcmd     []string `yaml:"bootcmd"`
	WriteFiles  []file   `yaml:"write_files"`
	RunCmd      []string `yaml:"runcmd"`
	PasswordSSH bool     `yaml:"ssh_pwauth"`
	NoRoot      bool     `yaml:"disable_root"`
}

type file struct {
	Path        string `yaml:"path"`
	Permissions string `yaml:"permissions"`
	Content     string `yaml:"content"`
}

// check reports what the house has not said, or not exactly enough.
func (s Site) check(provider string) error {
	u, err := url.Parse(s.Program)
	switch _, known := clocks[provider]; {
	case !known:
		return fmt.Errorf("no machine of %q is known to end itself", provider)
	case err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(s.Program, " \t\n'\"\\"):
		return fmt.Errorf("program %q is no https URL", s.Program)
	case !isSHA256(s.SHA256):
		return fmt.Errorf("%q is not the SHA-256 of a program", s.SHA256)
	case len(s.Control) == 0 || len(s.Edges) == 0 || s.Road == 0:
		return fmt.Errorf("the fence needs addresses of the control endpoint and of the edges, and the road's port")
	}
	for _, a := range s.Control {
		if !a.Addr().Is4() || a.Port() == 0 {
			return fmt.Errorf("%v is no IPv4 address with a port", a)
		}
	}
	for _, p := range s.Edges {
		if !p.IsValid() || !p.Addr().Is4() || p.Bits() == 0 {
			return fmt.Errorf("%v is no IPv4 network, or all of them", p)
		}
	}
	for _, a := range s.Clocks {
		if !a.Is4() {
			return fmt.Errorf("clock %v is no IPv4 address", a)
		}
	}
	return nil
}

var isSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString

// files are what is written before the machine is made fit.
func (m machine) files(l pools.Launch) ([]file, error) {
	at := l.UserData
	at.Claim, at.Attempt = l.Claim, l.Attempt
	host, port, err := net.SplitHostPort(at.Control)
	if err != nil {
		return nil, fmt.Errorf("control endpoint: %w", err)
	}
	if _, err := netip.ParseAddr(host); err != nil { // names are not resolved there
		at.Control = net.JoinHostPort(m.Control[0].Addr().String(), port)
	}
	boot, err := json.Marshal(map[string]any{"user_data": at, "metadata": "", "root": true,
		"road": net.JoinHostPort("0.0.0.0", strconv.Itoa(int(m.Road))), "scratch": "/var/lib/burst/scratch"})
	if err != nil {
		return nil, err
	}
	files := []file{
		{"/etc/burst/boot.json", "0644", string(boot) + "\n"},
		{"/etc/burst/binary.url", "0644", m.Program + "\n"},
		{"/etc/burst/binary.sha256", "0644", m.SHA256 + "  burstctl.new\n"},
	}
	for _, f := range []struct{ name, path, mode string }{
		{"start", "/usr/local/lib/burst/start", "0755"},
		{"fence.nft", "/etc/burst/fence.nft", "0644"},
		{"99-burst.conf", "/etc/sysctl.d/99-burst.conf", "0644"},
		{"burst-node.service", "/etc/systemd/system/burst-node.service", "0644"},
	} {
		content, err := m.part(f.name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{f.path, f.mode, content})
	}
	return files, nil
}

// part fills in one of the parts; shell is left as it is. (No text/template: it
// would keep every method of every SDK in the program.)
func (m machine) part(name string) (string, error) {
	b, err := parts.ReadFile("parts/" + name)
	return strings.NewReplacer("{{control}}", pairs(m.Control, " . "), "{{clocks}}", list(m.Clocks),
		"{{edges}}", list(m.Edges), "{{road}}", strconv.Itoa(int(m.Road)), "{{provider}}", m.Provider,
	).Replace(string(b)), err
}

// list is the elements of a set, as nft(8) reads them.
func list(all any) string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(all), "[]")), ", ")
}

// pairs are an address and a port each.
func pairs(all []netip.AddrPort, between string) string {
	var out []string
	for _, a := range all {
		out = append(out, a.Addr().String()+between+strconv.Itoa(int(a.Port())))
	}
	return strings.Join(out, ", ")
}

// arm is the first thing that a machine does at each boot: it writes down how it
// ends, and starts to wait for that.
func arm(provider string, expires time.Time, most time.Duration) (string, error) {
	off, err := parts.ReadFile("parts/off." + provider)
	if err != nil {
		return "", err
	}
	deadman, err := parts.ReadFile("parts/deadman")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`mkdir -p /run/burst
cat >/run/burst/off <<'END'
%sEND
cat >/run/burst/deadman <<'END'
%sEND
chmod 0700 /run/burst/off /run/burst/deadman
systemd-run --unit=burst-deadman --property=OOMScoreAdjust=-1000 /run/burst/deadman %d %d ||
  setsid /run/burst/deadman %[3]d %[4]d </dev/null >/dev/null 2>&1 &
`, off, deadman, expires.Unix(), int64(most.Seconds())), nil
}
