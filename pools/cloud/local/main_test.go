package local_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/residency"
)

// role makes this binary a host, a node or a controller of the tests.
const role = "LOCAL_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case "host":
		err = local.Host(context.Background(), os.Args[2])
	case "node":
		err = node(os.Args[2])
	case "controller":
		err = controller(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// node is a small node: it does on the road what each line asks of it.
func node(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var boot local.Boot
	if err := json.Unmarshal(b, &boot); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", boot.Road)
	if err != nil {
		return err
	}
	if strings.HasPrefix(boot.UserData.Claim, "c-stubborn") {
		signal.Ignore(syscall.SIGTERM)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				fmt.Fprintln(conn, strings.ReplaceAll(do(boot, lines.Text()), "\n", " "))
			}
		}()
	}
}

// do is what a node can be asked.
func do(boot local.Boot, line string) string {
	what, arg, _ := strings.Cut(line, " ")
	said, err := "", error(nil)
	switch what {
	case "get": // from the metadata service
		said, err = get(boot.Metadata + arg)
	case "control": // through the door
		said, err = get("http://" + boot.UserData.Control + arg)
	case "dial":
		var c net.Conn
		if c, err = net.DialTimeout("tcp", arg, time.Second); err == nil {
			c.Close()
		}
	case "links":
		var all []net.Interface
		all, err = net.Interfaces()
		for _, i := range all {
			said += i.Name + " "
		}
	case "mount":
		dir := filepath.Join(boot.Scratch, "mnt")
		if err = os.Mkdir(dir, 0o700); err == nil {
			err = unix.Mount("none", dir, "tmpfs", 0, "")
		}
		said = dir
	case "spawn": // a child of the node's that does not listen to anybody
		c := exec.Command("/bin/sleep", "300")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err = c.Start()
	case "env":
		said = strings.Join(os.Environ(), " ")
	case "pid":
		said = fmt.Sprint(os.Getpid())
	case "boot":
		said = fmt.Sprintf("%+v", boot)
	case "quit":
		os.Exit(0)
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return "ok " + said
}

func get(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return strings.TrimSpace(string(b)), err
}

// order is what a controller of the tests is told.
type order struct {
	Exe, Dir, KeyFile string
	Lifeline          bool
	Launch            pools.Launch
}

// controller launches one node, says so, and waits to be killed.
func controller(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c order
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	d, err := local.Open(local.Options{Dir: c.Dir, KeyFile: c.KeyFile,
		Places:  map[residency.Address]int{frankfurt: 4},
		Command: []string{c.Exe, "host"}, NodeCommand: []string{c.Exe, "node"},
		Env: []string{role + "=yes"}, Lifeline: c.Lifeline})
	if err != nil {
		return err
	}
	n, err := d.Launch(context.Background(), c.Launch)
	if err != nil {
		return err
	}
	fmt.Println(n.ID)
	select {}
}

var (
	frankfurt = residency.Address{Provider: "aws", Region: "eu-central-1"}
	virginia  = residency.Address{Provider: "aws", Region: "us-east-1"}
)

// options are those of a fresh provider whose hosts and nodes are this binary.
func options(t *testing.T) local.Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "provider.key")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return local.Options{Dir: filepath.Join(dir, "aws"), KeyFile: key,
		Places:  map[residency.Address]int{frankfurt: 4, virginia: 0},
		Command: []string{exe, "host"}, NodeCommand: []string{exe, "node"}, Env: []string{role + "=yes"}}
}

// open opens a driver whose nodes end with the test.
func open(t *testing.T, o local.Options) *local.Driver {
	t.Helper()
	d, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for {
			nodes, err := d.List(ctx)
			if err != nil || ctx.Err() != nil {
				t.Errorf("nodes are left: %v, %v", nodes, err)
				return
			}
			if len(nodes) == 0 {
				break
			}
			for _, n := range nodes {
				_ = d.Delete(ctx, n.ID)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func offer(at residency.Address) policy.Offer {
	return policy.Offer{At: at, Type: "g4dn.2xlarge", GPU: "t4", GPUs: 1,
		PerHour: policy.Money{Micros: 940_000, Currency: "USD"}, AsOf: "2026-01-21", Source: "test"}
}

func launch(claim string, lease time.Duration, control string) pools.Launch {
	return pools.Launch{Claim: claim, Attempt: 1, Offer: offer(frankfurt),
		Expires:  time.Now().UTC().Add(lease).Truncate(time.Millisecond),
		UserData: pools.UserData{Control: control, Claim: claim, Attempt: 1, Domain: "test"}}
}

// ask sends a node a line by its way in and returns its answer.
func ask(t *testing.T, n pools.Node, line string) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := try(n.Reach, line)
		if err == nil {
			return answer
		}
		if time.Now().After(end) {
			t.Fatalf("ask %s %q: %v", n.ID, line, err)
		}
	}
}

func try(reach, line string) (string, error) {
	conn, err := net.DialTimeout("tcp", reach, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintln(conn, line)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// gone waits until Delete says so.
func gone(t *testing.T, d *local.Driver, id string) {
	t.Helper()
	eventually(t, id+" is not gone", func() bool { return d.Delete(t.Context(), id) != nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// needs skips, or fails where everything must be real.
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
