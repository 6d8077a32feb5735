package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/train"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

// TestABurstWithVaultsCertificates does what configs/vault-setup.md says, in
// its words, and runs a burst whose certificates Vault issues, renews and
// revokes.
func TestABurstWithVaultsCertificates(t *testing.T) {
	v := vaulttest.Start(t)
	h := deploy(t)
	h.useVault(t, v)
	h.train(t, train.Config{Epochs: 8, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"},
		Pause: time.Second})
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	h.submit(t, "job.yaml")
	h.wells(t, 1)
	kinds := h.kinds()
	if kinds["issued"] < 2 {
		t.Errorf("%d certificates in a burst longer than half the life of one: %s", kinds["issued"], h.story())
	}
	h.revoked(t, v)
	for _, p := range []*process{edge, controller, nats} {
		if state := p.end(syscall.SIGTERM); state != "exit status 0" {
			t.Errorf("%s ended with %s", p.cmd.Args, state)
		}
	}
	h.gone(t)
	if err := h.verify(); err != nil {
		t.Error(err)
	}
	said, err := os.ReadFile(filepath.Join(h.dir, "controller.log"))
	if err != nil || strings.Contains(string(said), "hvs.") || strings.Contains(string(said), h.secret(t)) {
		t.Errorf("a secret is in the controller's log, or there is none: %v", err)
	}
}

// names are what the test's mounts and policy are called: of its own, since
// the Vault may be borrowed.
var names = strings.NewReplacer("claims.example", demoDomain,
	"-path=pki ", "-path=pki-house ", "pki/", "pki-house/",
	"auth enable approle", "auth enable -path=approle-house approle", "auth/approle/", "auth/approle-house/",
	"policy write burst ", "policy write burst-house ",
	"token_policies=burst ", "token_policies=burst-house ", "role_id_file: ", "role_id_file: vault/", "secret_id_file: ",
	"secret_id_file: vault/", "mount: pki", "mount: pki-house", "auth_mount: approle", "auth_mount: approle-house",
	"ttl: 5m", "ttl: 10s")

// useVault sets Vault up for the house by the document, line by line, and both
// configurations with it.
func (h house) useVault(t *testing.T, v *vaulttest.Server) {
	t.Helper()
	op := operator{t: t, c: v.Client(t), dir: filepath.Join(h.dir, "vault")}
	if err := os.Mkdir(op.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "vault-setup.md"))
	if err != nil {
		t.Fatal(err)
	}
	var issuer string
	for _, block := range blocks(names.Replace(string(text))) {
		if strings.HasPrefix(block, "issuer:\n") {
			issuer = strings.Replace(block, "https://127.0.0.1:8200", v.Addr, 1)
			continue
		}
		op.do(block)
	}
	conf, err := os.ReadFile(filepath.Join(h.dir, "controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const embedded = "issuer: {kind: embedded, ttl: 20s}\n"
	if !strings.Contains(string(conf), embedded) || issuer == "" {
		t.Fatalf("no %q in the house, or no issuer in the document", embedded)
	}
	h.fill(t, []string{embedded, issuer}, "controller.yaml")
	h.fill(t, []string{"grants_ca: keys/edge-hq/grants-ca.pem", "grants_ca: vault/grants-ca.pem"}, "edge.yaml")
}

// secret is the controller's secret ID.
func (h house) secret(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, "vault", "secret-id"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// revoked wants Vault to have issued what the log says it issued, and to have
// revoked what was good at the end, which was then refused when it was tried.
// Vault revokes nothing that has expired.
func (h house) revoked(t *testing.T, v *vaulttest.Server) {
	t.Helper()
	newest, revoked, probed := "", false, false
	for leaf, err := range audit.Read(t.Context(), os.DirFS(filepath.Join(h.dir, "log"))) {
		var body struct {
			Serial  string
			Refused bool
		}
		if err == nil && leaf.Entry.Body != nil {
			err = json.Unmarshal(leaf.Entry.Body, &body)
		}
		if err != nil {
			t.Fatal(err)
		}
		switch leaf.Entry.Kind {
		case "issued":
			newest = body.Serial
			if h.withdrawn(t, v, newest) == "" {
				t.Errorf("Vault does not know certificate %s", newest)
			}
		case "revoked":
			revoked = revoked || body.Serial == newest && h.withdrawn(t, v, newest) != "0"
		case "probed":
			probed = probed || body.Serial == newest && body.Refused
		}
	}
	if !revoked || !probed {
		t.Errorf("newest certificate %q: revoked %v, refused when tried %v: %s", newest, revoked, probed, h.story())
	}
}

// withdrawn is when Vault revoked a certificate: "0" is not, "" is no such one.
func (h house) withdrawn(t *testing.T, v *vaulttest.Server, serial string) string {
	t.Helper()
	out, err := v.Client(t).Logical().ReadWithContext(t.Context(), "pki-house/cert/"+colons(serial))
	if err != nil || out == nil {
		t.Logf("ask Vault about %s: %v", serial, err)
		return ""
	}
	return fmt.Sprint(out.Data["revocation_time"])
}

// colons prints a serial as Vault's paths want it.
func colons(serial string) string {
	var b strings.Builder
	for i := 0; i+1 < len(serial); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(serial[i : i+2])
	}
	return b.String()
}

func TestEveryKeyOfTheVaultSectionReachesVault(t *testing.T) {
	var c configs.Controller
	section := reflect.ValueOf(&c.Issuer.Vault).Elem()
	for i := range section.NumField() {
		section.Field(i).SetString("value of " + section.Type().Field(i).Name)
	}
	c.Domain = "value of Domain"
	got := fmt.Sprintf("%+v", vaultConfig(c, slog.New(slog.NewTextHandler(io.Discard, nil))))
	for i := range section.NumField() {
		if want := section.Field(i).String(); !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}
