package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency/audit"
)

// ailing is a house in which one piece at a time is broken and put back.
type ailing struct {
	house
	whole map[string]whole // its small files, by path
}

// whole is a file as it was.
type whole struct {
	text []byte
	mode fs.FileMode
}

// newAiling deploys a house, starts its daemons and remembers its files.
func newAiling(t *testing.T) ailing {
	h := ailing{deploy(t), map[string]whole{}}
	h.startNATS(t)
	h.startController(t)
	h.startEdge(t)
	h.until(t, "witnessed", h.verify)
	for _, part := range []string{"controller.yaml", "edge.yaml", "keys", "rules", "places.note", "catalogue.yaml",
		"roles.cedar",
		"offers.csv", "data", "slices"} {
		err := filepath.WalkDir(filepath.Join(h.dir, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			h.whole[path] = whole{b, info.Mode().Perm()}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// mend puts every file back.
func (h ailing) mend(t *testing.T) {
	for path, w := range h.whole {
		b, err := os.ReadFile(path)
		if info, serr := os.Stat(path); err == nil && serr == nil && info.Mode().Perm() == w.mode && bytes.Equal(b, w.text) {
			continue
		}
		os.Remove(path)
		if err := errors.Join(os.WriteFile(path, w.text, w.mode), os.Chmod(path, w.mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// asks runs doctor, and holds what every answer has to keep: it is one, its
// exit says whether something failed, and it tells no secret.
func (h ailing) asks(t *testing.T, program string) []doctor.Finding {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), program), "doctor", "-o", "json")
	var out, errs strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var answer struct{ Items []doctor.Finding }
	if err := json.Unmarshal([]byte(out.String()), &answer); err != nil {
		t.Fatalf("%v:\n%s%s", err, out.String(), errs.String())
	}
	if strings.Contains(out.String()+errs.String(), "CANARY") {
		t.Errorf("it tells a secret:\n%s%s", out.String(), errs.String())
	}
	want := 0
	for _, f := range answer.Items {
		if f.Standing == doctor.Fail {
			want = 1
		}
		if f.Check == "" || f.What == "" || f.Fix == "" && (f.Standing == doctor.Fail || f.Standing == doctor.Warn) {
			t.Errorf("half a finding: %+v", f)
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != want || want == 1 && !strings.Contains(errs.String(), "BRS-1008") {
		t.Errorf("exit %d, want %d:\n%s", code, want, errs.String())
	}
	for path, w := range h.whole {
		for line := range strings.Lines(string(w.text)) {
			line = strings.TrimSpace(line)
			if w.mode == 0o600 && strings.Contains(path, "keys") && len(line) > 40 && strings.Contains(out.String(), line) {
				t.Errorf("it tells what is in %s", path)
			}
		}
	}
	return answer.Items
}

// edits replaces text in a file of the house.
func edits(file string, pairs ...string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) { h.fill(t, pairs, file) }
}

// writes puts text in place of a file's, with its mode.
func writes(file, text string, mode fs.FileMode) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		path := filepath.Join(h.dir, file)
		os.Remove(path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode),
			os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// loses takes a file away.
func loses(file string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		if err := os.Remove(filepath.Join(h.dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

// swaps puts one file of the house where another was.
func swaps(from, to string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		w := h.whole[filepath.Join(h.dir, from)]
		writes(to, string(w.text), h.whole[filepath.Join(h.dir, to)].mode)(t, h)
	}
}

// ends certifies someone anew, by the house CA, until a time.
func ends(folder, uri string, until time.Duration) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		at := filepath.Join(h.dir, "keys", folder)
		ca, err := tls.LoadX509KeyPair(filepath.Join(at, "ca.pem"), filepath.Join(h.dir, "keys", "office", "house-ca.key"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-48 * time.Hour),
			NotAfter: time.Now().Add(until), URIs: []*url.URL{id}, KeyUsage: x509.KeyUsageDigitalSignature}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca.Leaf, &key.PublicKey, ca.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		pkcs, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writes(filepath.Join("keys", folder, "tls.pem"),
			string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)(t, h)
		writes(filepath.Join("keys", folder, "tls.key"),
			string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})), 0o600)(t, h)
	}
}

// silent listens at an address and says nothing.
func silent(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// vaults lets the house's issuer be a Vault that always answers so.
func vaults(answer http.HandlerFunc) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		vaultAt(s.URL)(t, h)
	}
}

// vaultAt lets the house's issuer be a Vault at an address.
func vaultAt(address string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		writes("vault/role-id", "CANARY-role", 0o600)(t, h)
		writes("vault/secret-id", "CANARY-secret", 0o600)(t, h)
		edits("controller.yaml", "issuer: {kind: embedded, ttl: 20s}", "issuer: {kind: vault, ttl: 5m, vault: {"+
			"address: \""+address+"\", role_id_file: vault/role-id, secret_id_file: vault/secret-id, role: burst}}")(t, h)
	}
}

// copies lets the controller's log be a copy of the real one, and changes that.
func copies(change func(t *testing.T, h ailing, log string)) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		log := filepath.Join(h.dir, "copy", "log")
		os.RemoveAll(log)
		if err := os.CopyFS(log, os.DirFS(filepath.Join(h.dir, "log"))); err != nil {
			t.Fatal(err)
		}
		change(t, h, log)
		edits("controller.yaml", "state: .", "state: copy")(t, h)
	}
}

// cosigns puts a cosignature of another time under the copied checkpoint.
func cosigns(t *testing.T, h ailing, log string) {
	skey, err := keys.Text(filepath.Join(h.dir, "keys", "edge-hq", "witness.key"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := audit.NewWitnessSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(log, "checkpoint")
	head, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, sigs, _ := strings.Cut(string(head), "\n\n")
	sig, err := w.SignAt([]byte(text+"\n"), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := strings.Cut(sigs, "\n") // of the log, which comes first
	late, err := note.Sign(&note.Note{Text: text + "\n"}, later{w, sig})
	if err != nil {
		t.Fatal(err)
	}
	_, cosigned, _ := strings.Cut(string(late), "\n\n")
	if err := os.WriteFile(path, []byte(text+"\n\n"+own+"\n"+cosigned), 0o600); err != nil {
		t.Fatal(err)
	}
}

// later is a witness whose signature was made at another time.
type later struct {
	*audit.WitnessSigner
	sig []byte
}

func (l later) Sign([]byte) ([]byte, error) { return l.sig, nil }

func chmods(file string, mode fs.FileMode) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		if err := os.Chmod(filepath.Join(h.dir, file), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// attests names certificates: old ones of Azure, which are those shipped, or none.
func attests(section string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		old := filepath.Join(h.dir, "old")
		if err := os.MkdirAll(filepath.Join(old, "none"), 0o700); err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{"roots": "roots", "intermediates": "between"} {
			os.RemoveAll(filepath.Join(old, to))
			shipped := os.DirFS(filepath.Join("..", "..", "configs", "attestation", "azure", from))
			if err := os.CopyFS(filepath.Join(old, to), shipped); err != nil {
				t.Fatal(err)
			}
		}
		edits("controller.yaml", "heartbeat:", "attestation: {"+section+"}\nheartbeat:")(t, h)
	}
}

// buses and calls name other servers; samples another source.
func buses(at string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) { h.fill(t, []string{h.nats, at}, "controller.yaml", "edge.yaml") }
}

func calls(at string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) { h.fill(t, []string{"address: " + h.at, "address: " + at}, "edge.yaml") }
}

func samples(section string) func(*testing.T, ailing) {
	return edits("edge.yaml", "{kind: replay, trace: day.csv, every: 100ms, speed: 120}", section)
}

// touches changes the first byte of the first file that fits.
func touches(pattern string) func(*testing.T, ailing) {
	return func(t *testing.T, h ailing) {
		files, err := filepath.Glob(filepath.Join(h.dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no file %s: %v", pattern, err)
		}
		w := h.whole[files[0]]
		text := slices.Clone(w.text)
		text[0] ^= 1
		os.Remove(files[0])
		if err := os.WriteFile(files[0], text, w.mode); err != nil {
			t.Fatal(err)
		}
	}
}

// flips changes a byte of an entry; strips takes the cosignatures away.
func flips(t *testing.T, _ ailing, log string) {
	files, err := filepath.Glob(filepath.Join(log, "tile", "entries", "*.p", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no entries", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func strips(t *testing.T, _ ailing, log string) {
	path := filepath.Join(log, "checkpoint")
	head, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, sigs, _ := strings.Cut(string(head), "\n\n")
	own, _, _ := strings.Cut(sigs, "\n")
	if err := os.WriteFile(path, []byte(text+"\n\n"+own+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
