package cloudinit_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	cloudinit "github.com/burstctl/burstctl/configs/cloud-init"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/residency"
)

var site = cloudinit.Site{
	Program: "https://files.claims.example/burstctl-linux-amd64",
	SHA256:  strings.Repeat("0f", 32),
	Control: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:8443")},
	Edges:   []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")},
	Road:    7443,
}

func launch(provider string) pools.Launch {
	return pools.Launch{Claim: "claim-1", Attempt: 2, Expires: time.Unix(1_800_000_000, 0).UTC(),
		Offer: policy.Offer{At: residency.Address{Provider: provider, Region: "eu-central-1"}},
		UserData: pools.UserData{Control: "control.claims.example:8443", CA: "sha256:" + strings.Repeat("ab", 32),
			Domain: "claims.example"}}
}

// told is a rendered document as cloud-init reads it.
type told struct {
	Bootcmd []string `yaml:"bootcmd"`
	Files   []struct {
		Path, Permissions, Content string
	} `yaml:"write_files"`
	RunCmd []string `yaml:"runcmd"`
}

func render(t *testing.T, provider string) (doc []byte, read told, files map[string]string) {
	t.Helper()
	doc, err := cloudinit.Render(launch(provider), time.Hour, site)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(doc, &read); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	files = map[string]string{}
	for _, f := range read.Files {
		files[f.Path] = f.Content
	}
	return doc, read, files
}

func TestTheAgentIsToldWhatTheLaunchSaysAndNoMore(t *testing.T) {
	_, _, files := render(t, "aws")
	var boot local.Boot
	if err := json.Unmarshal([]byte(files["/etc/burst/boot.json"]), &boot); err != nil {
		t.Fatal(err)
	}
	want := launch("aws").UserData
	want.Claim, want.Attempt, want.Control = "claim-1", 2, "198.51.100.7:8443" // no names are resolved there
	if boot.UserData != want || boot.Road != "0.0.0.0:7443" || boot.Scratch != "/var/lib/burst/scratch" || !boot.Root {
		t.Errorf("boot file is %+v, want %+v in it", boot, want)
	}
}

func TestTheDeadManSwitchIsArmedBeforeAnythingElse(t *testing.T) {
	for _, provider := range []string{"aws", "azure"} {
		doc, read, _ := render(t, provider)
		if len(read.Bootcmd) != 1 || !strings.Contains(read.Bootcmd[0], "/run/burst/deadman 1800000000 3600") {
			t.Errorf("%s: the first thing at boot is %q", provider, read.Bootcmd)
		}
		if at := strings.Index(string(doc), "\nbootcmd:"); at < 0 || at > len("#cloud-config") {
			t.Errorf("%s: bootcmd is not the first section", provider)
		}
		if len(doc) > cloudinit.Limit {
			t.Errorf("%s: %d bytes", provider, len(doc))
		}
	}
}

func TestAMachineThatIsNotPinnedIsNotDescribed(t *testing.T) {
	for name, change := range map[string]func(*pools.Launch, *cloudinit.Site, *time.Duration){
		"no end":           func(l *pools.Launch, _ *cloudinit.Site, _ *time.Duration) { l.Expires = time.Time{} },
		"no longest life":  func(_ *pools.Launch, _ *cloudinit.Site, d *time.Duration) { *d = 0 },
		"other cloud":      func(l *pools.Launch, _ *cloudinit.Site, _ *time.Duration) { l.Offer.At.Provider = "gcp" },
		"plain http":       func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Program = "http://a.example/b" },
		"a quote in a URL": func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Program += "'; reboot" },
		"no digest":        func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.SHA256 = "" },
		"the whole world": func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) {
			s.Edges[0] = netip.MustParsePrefix("0.0.0.0/0")
		},
		"nobody to dial":    func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Edges = nil },
		"no endpoint":       func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Control = nil },
		"endpoint's port":   func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Control = []netip.AddrPort{{}} },
		"no port to listen": func(_ *pools.Launch, s *cloudinit.Site, _ *time.Duration) { s.Road = 0 },
	} {
		l, s, most := launch("aws"), site, time.Hour
		s.Edges = append([]netip.Prefix(nil), site.Edges...)
		change(&l, &s, &most)
		if doc, err := cloudinit.Render(l, most, s); err == nil {
			t.Errorf("%s: rendered\n%s", name, doc)
		}
	}
}

func TestEveryScriptIsOneThatAShellReads(t *testing.T) {
	for _, provider := range []string{"aws", "azure"} {
		_, read, files := render(t, provider)
		scripts := map[string]string{"bootcmd": read.Bootcmd[0], "start": files["/usr/local/lib/burst/start"]}
		for name, script := range scripts {
			cmd := exec.CommandContext(t.Context(), "sh", "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%s", provider, name, err, out)
			}
		}
	}
}

// The switch is armed by the very words of the document; what would end a
// machine writes a file instead, and so does whatever it calls before.
func TestAMachineEndsByEitherClockAndNotBefore(t *testing.T) {
	for _, test := range []struct {
		name      string
		end, most string
		ends      bool
	}{
		{"lease is over by the wall clock", "1", "999999999", true},
		{"it has been up too long", "9999999999", "1", true},
		{"neither", "9999999999", "999999999", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, read, _ := render(t, "aws")
			dir := t.TempDir()
			arm := strings.ReplaceAll(read.Bootcmd[0], "/run/burst", dir+"/run")
			arm = strings.ReplaceAll(arm, "1800000000 3600", test.end+" "+test.most)
			ended := filepath.Join(dir, "ended")
			tool(t, dir, "systemd-run", `while case "$1" in --*) true;; *) false;; esac; do shift; done; exec "$@"`)
			for _, name := range []string{"umount", "cryptsetup"} {
				tool(t, dir, name, "echo "+name+" >>"+ended)
			}
			tool(t, dir, "systemctl", `echo "systemctl $*" >>`+ended)
			tool(t, dir, "sleep", "exit 0 # the clock is what counts\n")
			script := arm
			if !test.ends { // ask it once, rather than for ever
				tool(t, dir, "sleep", "kill $PPID")
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script+"\nwait")
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			said, readErr := os.ReadFile(ended)
			if !test.ends {
				if readErr == nil {
					t.Errorf("it ended: %s", said)
				}
				return
			}
			if err != nil || readErr != nil || !strings.Contains(string(said), "systemctl kill --signal=KILL burst-node") ||
				!strings.Contains(string(said), "cryptsetup\nsystemctl poweroff --force --force\n") {
				t.Errorf("it did %q (%v, %v)\n%s", said, err, readErr, out)
			}
		})
	}
}

// tool puts a program of the test's own in front of the machine's.
func tool(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}
