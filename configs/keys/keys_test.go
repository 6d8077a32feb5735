package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency/audit"
)

var plan = Plan{Domain: "burst.test", Origin: "burst.test/log", Sites: []string{"hq", "lab"}, Users: []string{"alice"},
	Approvers: []string{"anna", "ben"}}

func TestInitGivesEachMachineItsOwnFolderAndKeepsSecretsTo0600(t *testing.T) {
	dir := t.TempDir()
	if err := Init(dir, plan); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		secret := strings.Contains(string(b), "PRIVATE KEY")
		if secret != strings.HasSuffix(path, ".key") && secret {
			t.Errorf("%s holds a secret under a public name", path)
		}
		if strings.HasSuffix(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range plan.Sites {
		b, err := os.ReadFile(filepath.Join(dir, "edge-"+site, "trust.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.ParseTrust(b); err != nil {
			t.Error(err)
		}
		if _, err := Ed25519(filepath.Join(dir, "edge-"+site, "edge.key")); err != nil {
			t.Error(err)
		}
		at := filepath.Join(dir, "edge-"+site)
		if _, err := Certificate(filepath.Join(at, "tls.pem"), filepath.Join(at, "tls.key")); err != nil {
			t.Error(err)
		}
	}
	if err := Init(dir, plan); !errors.Is(err, ErrExists) {
		t.Errorf("a second Init: %v", err)
	}
}

func TestASecretThatOthersMayReadIsRefusedAndNeverQuoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.key")
	const canary = "PRIVATE+KEY+canary"
	if err := os.WriteFile(path, []byte(canary), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Signer(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Signer(path); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("got %v", err)
	}
}

func TestAPlanWithoutASiteIsRefused(t *testing.T) {
	if err := Init(t.TempDir(), Plan{Domain: "d", Origin: "o"}); err == nil {
		t.Error("made keys for nobody")
	}
}

func TestInitMakesApproversKeysThatApproveTogether(t *testing.T) {
	dir := t.TempDir()
	must(t, Init(dir, plan))
	for _, machine := range []string{"controller", "edge-hq", "edge-lab"} {
		at := filepath.Join(dir, machine)
		a, err := Approvers(filepath.Join(at, "approver-anna.vkey"), filepath.Join(at, "approver-ben.vkey"))
		must(t, err)
		if got := a.Names(); len(got) != 2 || got[0] != "burst.test/approver/anna" {
			t.Errorf("%s knows %v", machine, got)
		}
	}
	for _, file := range []string{"approver.key", "tls.pem", "ca.pem"} {
		if _, err := os.Stat(filepath.Join(dir, "user-anna", file)); err != nil {
			t.Error(err)
		}
	}
	one := filepath.Join(dir, "controller", "approver-anna.vkey")
	if _, err := Approvers(one, one); err == nil {
		t.Error("one approver counts twice")
	}
}
