package busserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certify writes tls/server.pem and tls/server.key into dir, and returns both ends' configurations.
func certify(t *testing.T, dir string) (here, there *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	from := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, from, from, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.MkdirAll(filepath.Join(dir, "tls"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "tls", "server.pem"), cert, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "tls", "server.key"),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	here = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return here, &tls.Config{RootCAs: pool}
}

func TestInitAddsWhatIsMissingAndChangesNothingElse(t *testing.T) {
	dir := t.TempDir()
	must(t, busserver.Init(dir, []string{"fra"}))
	before := tree(t, dir)
	must(t, busserver.Init(dir, []string{"fra", "muc"}))
	after := tree(t, dir)
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s was changed", path)
		}
	}
	if _, ok := after["creds/muc.creds"]; !ok {
		t.Error("muc has no credentials")
	}
	if _, err := busserver.AddEdge(dir, "muc", time.Hour); err == nil {
		t.Error("a second user of muc was issued beside the first")
	}
	for _, site := range []string{"", "*", "a.b", "../x", "Fra", bus.Durable} {
		if err := busserver.Init(dir, []string{site}); err == nil {
			t.Errorf("%q is taken for a site", site)
		}
	}
	if _, err := busserver.AddEdge(dir, "ber", 0); err == nil {
		t.Error("a user that lasts no time was issued")
	}
}

// tree reads every file of dir, and checks that secrets are their owner's alone.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		files[name] = string(text)
		info, err := d.Info()
		if secret := regexp.MustCompile(`S[UOA][A-Z2-7]{56}`).Match(text); secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds a seed and has mode %v", name, info.Mode())
		}
		return err
	}))
	return files
}

func TestALostAccountIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	must(t, busserver.Init(dir, []string{"fra"}))
	must(t, os.Remove(filepath.Join(dir, "burst.jwt")))
	if err := busserver.Init(dir, []string{"fra"}); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Fatalf("revocations may be forgotten: %v", err)
	}
}

func TestTheEmbeddedServerSpeaksTLSOnLoopbackOnly(t *testing.T) {
	dir := t.TempDir()
	must(t, busserver.Init(dir, nil))
	here, there := certify(t, dir)
	for name, o := range map[string]busserver.Options{
		"nothing":      {},
		"no TLS":       {Dir: dir, Listen: "127.0.0.1:0"},
		"all":          {Dir: dir, Listen: "0.0.0.0:0", TLS: here},
		"a name":       {Dir: dir, Listen: "localhost:0", TLS: here},
		"no authority": {Dir: t.TempDir(), Listen: "127.0.0.1:0", TLS: here},
	} {
		if s, err := busserver.Start(o); err == nil {
			s.Shutdown()
			t.Errorf("started with %s", name)
		}
	}
	s, err := busserver.Start(busserver.Options{Dir: dir, Listen: "127.0.0.1:0", TLS: here})
	must(t, err)
	defer s.Shutdown()
	there.MaxVersion = tls.VersionTLS12
	addr := strings.TrimPrefix(s.URL(), "tls://")
	raw, err := net.Dial("tcp", addr)
	must(t, err)
	defer raw.Close()
	must(t, raw.SetDeadline(time.Now().Add(5*time.Second)))
	info := make([]byte, 4096)
	n, err := raw.Read(info)
	must(t, err)
	if !strings.Contains(string(info[:n]), `"tls_required":true`) {
		t.Fatalf("the server does not ask for TLS: %s", info[:n])
	}
	there.ServerName = "127.0.0.1"
	if err := tls.Client(raw, there).Handshake(); err == nil {
		t.Fatal("the server spoke TLS 1.2")
	}
}

func TestABusyPortIsSaid(t *testing.T) {
	dir := t.TempDir()
	must(t, busserver.Init(dir, nil))
	here, _ := certify(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, err = busserver.Start(busserver.Options{Dir: dir, Listen: l.Addr().String(), TLS: here})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
}

// external starts another server on nats.conf and returns how to reload and where it listens.
func external(t *testing.T, start func(conf string) (reload func())) {
	dir := t.TempDir()
	must(t, busserver.Init(dir, []string{"fra"}))
	_, there := certify(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	must(t, l.Close())
	conf := filepath.Join(dir, "nats.conf")
	text, err := os.ReadFile(conf)
	must(t, err)
	must(t, os.WriteFile(conf, []byte(strings.Replace(string(text), "127.0.0.1:4222", addr, 1)), 0o644))
	reload := start(conf)

	connect := func(name string, states chan bus.State) *bus.Conn {
		c, err := bus.Connect(t.Context(), bus.Config{
			URL: "tls://" + addr, TLS: there, CredsFile: busserver.Creds(dir, name), Name: name,
			OnState: func(s bus.State) { states <- s },
		})
		must(t, err)
		t.Cleanup(c.Close)
		return c
	}
	must(t, connect(bus.Durable, make(chan bus.State, 1000)).Ensure(t.Context()))
	states := make(chan bus.State, 1000)
	connect("fra", states)
	if s := <-states; !s.Up {
		t.Fatalf("not connected: %v", s.Err)
	}
	must(t, busserver.Revoke(dir, "fra"))
	reload()
	for {
		select {
		case s := <-states:
			if !s.Up {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a revoked user is still connected after the reload")
		}
	}
}

func TestTheConfigFileMakesTheSameServer(t *testing.T) {
	external(t, func(conf string) func() {
		opts, err := server.ProcessConfigFile(conf)
		must(t, err)
		if !opts.SyncAlways || !opts.JetStream || opts.TLSConfig.MinVersion != tls.VersionTLS13 {
			t.Fatalf("got %+v", opts)
		}
		opts.NoSigs, opts.NoLog = true, true
		ns, err := server.NewServer(opts)
		must(t, err)
		ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		if !ns.ReadyForConnections(10 * time.Second) {
			t.Fatal("not ready")
		}
		return func() { must(t, ns.Reload()) }
	})
}

// needs skips what this machine lacks, except where everything must run.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("BURST_REAL") != "" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

func TestARealNatsServerRunsOnTheConfigFile(t *testing.T) {
	needs(t, os.Getenv("BURST_REAL") != "", "BURST_REAL=1: it builds nats-server")
	bin := filepath.Join(t.TempDir(), "nats-server")
	build := exec.Command("go", "build", "-o", bin, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	external(t, func(conf string) func() {
		cmd := exec.Command(bin, "-c", conf)
		out := &strings.Builder{}
		cmd.Stderr = out
		must(t, cmd.Start())
		t.Cleanup(func() {
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			if t.Failed() {
				t.Log(out)
			}
		})
		return func() {
			reload := exec.Command(bin, "--signal", fmt.Sprintf("reload=%d", cmd.Process.Pid))
			if out, err := reload.CombinedOutput(); err != nil {
				t.Fatalf("reload: %v\n%s", err, out)
			}
		}
	})
}
