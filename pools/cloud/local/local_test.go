package local_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/residency"
	attest "github.com/burstctl/burstctl/residency/attest/local"
)

// inBoth runs a test with plain nodes, and with namespaces where they can be had.
func inBoth(t *testing.T, test func(t *testing.T, o local.Options)) {
	t.Run("plain", func(t *testing.T) { test(t, options(t)) })
	t.Run("namespaces", func(t *testing.T) {
		needs(t, local.Isolates(), "root, for namespaces")
		o := options(t)
		o.Namespaces = true
		test(t, o)
	})
}

func TestANodeReachesControlAndMetadataAndTheEdgeReachesTheNode(t *testing.T) {
	inBoth(t, func(t *testing.T, o local.Options) {
		t.Setenv("VAULT_TOKEN", "s.secret")
		control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("control heard " + r.URL.Path))
		}))
		defer control.Close()
		d := open(t, o)
		n, err := d.Launch(t.Context(), launch("c-1", time.Minute, control.Listener.Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, n, "control /v1/hello"); got != "ok control heard /v1/hello" {
			t.Errorf("through the door: %q", got)
		}
		key := "sha256:" + strings.Repeat("ab", 32)
		var e residency.Evidence
		got, _ := strings.CutPrefix(ask(t, n, "get /identity?nonce=nonce-a&node_key="+key), "ok ")
		if err := json.Unmarshal([]byte(got), &e); err != nil {
			t.Fatalf("identity %q: %v", got, err)
		}
		id, err := attest.New(publicKey(t, o)).Verify(e, residency.Expect{Instance: n.ID, Claimed: frankfurt,
			Nonce: "nonce-a", NodeKey: key, At: time.Now()})
		if err != nil || id.Region != frankfurt.Region || id.Instance != n.ID {
			t.Errorf("identity %+v, %v", id, err)
		}
		if got := ask(t, n, "get /identity?nonce=nonce-a"); !strings.HasPrefix(got, "error: status 400") {
			t.Errorf("identity without a key: %q", got)
		}
		if got := ask(t, n, "get /user-data"); !strings.Contains(got, `"claim":"c-1"`) {
			t.Errorf("user data: %q", got)
		}
		if got := ask(t, n, "env"); strings.Contains(got, "VAULT") {
			t.Errorf("the controller's environment got through: %q", got)
		}
	})
}

func TestANodeInNamespacesHasNothingButItsDoors(t *testing.T) {
	needs(t, local.Isolates(), "root, for namespaces")
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	o := options(t)
	o.Namespaces = true
	d := open(t, o)
	n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, n, "links"); got != "ok lo" {
		t.Errorf("its links: %q", got)
	}
	if got := ask(t, n, "pid"); got != "ok 1" {
		t.Errorf("its process: %q", got)
	}
	for _, address := range []string{outside.Addr().String(), "192.0.2.1:80", "[2001:db8::1]:80"} {
		if got := ask(t, n, "dial "+address); !strings.HasPrefix(got, "error: ") {
			t.Errorf("dial %s: %q", address, got)
		}
	}
}

func TestNothingOfANodeSurvivesItsHost(t *testing.T) {
	inBoth(t, func(t *testing.T, o local.Options) {
		before := mounts(t)
		d := open(t, o)
		n, err := d.Launch(t.Context(), launch("c-stubborn", time.Minute, "127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		scratch := filepath.Join(o.Dir, "scratch", n.ID)
		if o.Namespaces {
			for _, line := range []string{"mount", "spawn"} {
				if got := ask(t, n, line); !strings.HasPrefix(got, "ok") {
					t.Fatalf("%s: %q", line, got)
				}
			}
			if strings.Contains(mounts(t), scratch) {
				t.Error("the node's mount shows outside")
			}
		}
		ask(t, n, "pid") // it runs
		pid := hostOf(t, o, n.ID)
		if left := processes(t, n.ID, scratch); len(left) < 2 {
			t.Fatalf("host and node are %q", left)
		}
		if err := pid.Kill(); err != nil {
			t.Fatal(err)
		}
		gone(t, d, n.ID)
		if left := processes(t, n.ID, scratch); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		b, err := os.ReadFile(filepath.Join(o.Dir, "gone", n.ID+".json"))
		if err != nil || !strings.Contains(string(b), "its host died") {
			t.Errorf("what is remembered of it: %s, %v", b, err)
		}
		if _, err := os.Stat(scratch); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("scratch is left: %v", err)
		}
		if mounts(t) != before {
			t.Error("mounts are left")
		}
		if nodes, err := d.List(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("listed: %v, %v", nodes, err)
		}
	})
}

func TestAStubbornNodeIsEnded(t *testing.T) {
	d := open(t, options(t))
	n, err := d.Launch(t.Context(), launch("c-stubborn", time.Minute, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, n, "pid")
	start := time.Now()
	if err := d.Delete(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if nodes, err := d.List(t.Context()); err != nil || len(nodes) != 1 || nodes[0].State != pools.Stopping {
		t.Errorf("listed while it stops: %v, %v", nodes, err)
	}
	gone(t, d, n.ID)
	if took := time.Since(start); took < 2*time.Second || took > 6*time.Second {
		t.Errorf("ending it took %v", took)
	}
}

func TestAHostThatHangsIsEnded(t *testing.T) {
	o := options(t)
	d := open(t, o)
	n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := hostOf(t, o, n.ID).Signal(stop); err != nil {
		t.Fatal(err)
	}
	gone(t, d, n.ID)
}

func TestANodeThatEndsByItselfIsGone(t *testing.T) {
	d := open(t, options(t))
	n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, n, "pid")
	_, _ = try(n.Reach, "quit")
	eventually(t, "it is still listed", func() bool {
		nodes, err := d.List(t.Context())
		return err == nil && len(nodes) == 0
	})
	if err := d.Delete(t.Context(), n.ID); !errors.Is(err, pools.ErrGone) {
		t.Errorf("delete: %v", err)
	}
}

func TestNodesOfOneNameAtTwoProvidersDoNotMeet(t *testing.T) {
	for range 2 {
		d := open(t, options(t))
		n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		ask(t, n, "pid")
	}
}

func TestANodeIsPendingWhileItBoots(t *testing.T) {
	o := options(t)
	o.Boot = 700 * time.Millisecond
	d := open(t, o)
	n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
	if err != nil || n.State != pools.Pending {
		t.Fatalf("launched %+v, %v", n, err)
	}
	if _, err := try(n.Reach, "pid"); err == nil {
		t.Error("a node that boots answers")
	}
	ask(t, n, "pid")
	if nodes, err := d.List(t.Context()); err != nil || len(nodes) != 1 || nodes[0].State != pools.Running {
		t.Errorf("listed %v, %v", nodes, err)
	}
}

func TestNodesEndWithTheirParentOnlyOnALifeline(t *testing.T) {
	for _, lifeline := range []bool{true, false} {
		t.Run("lifeline "+strconv.FormatBool(lifeline), func(t *testing.T) {
			o := options(t)
			o.Lifeline = lifeline
			l := launch("c-1", time.Minute, "127.0.0.1:1")
			parent, id := startController(t, o, l)
			o.Lifeline = false
			d := open(t, o)
			if nodes, err := d.List(t.Context()); err != nil || len(nodes) != 1 || nodes[0].ID != id {
				t.Fatalf("listed %v, %v", nodes, err)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait()
			if lifeline {
				eventually(t, "it is still listed", func() bool {
					nodes, err := d.List(t.Context())
					return err == nil && len(nodes) == 0
				})
				return
			}
			n, err := d.Launch(t.Context(), l) // as a controller does that starts again
			if err != nil || n.ID != id {
				t.Errorf("launched again: %+v, %v, want %s", n, err, id)
			}
			ask(t, n, "pid")
		})
	}
}

func TestCloseEndsWhatHangsOnALifeline(t *testing.T) {
	o := options(t)
	o.Lifeline = true
	d, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.Launch(t.Context(), launch("c-1", time.Minute, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, n.ID, filepath.Join(o.Dir, "scratch", n.ID)); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestALaunchThatCrashedBeforeItsHostIsMadeLater(t *testing.T) {
	o := options(t)
	broken := o
	broken.Command = []string{"/bin/false"}
	l := launch("c-1", time.Minute, "127.0.0.1:1")
	if _, err := open(t, broken).Launch(t.Context(), l); err == nil || errors.Is(err, pools.ErrRefused) {
		t.Fatalf("launch without a host: %v, want the outcome unknown", err)
	}
	d := open(t, o)
	n, err := d.Launch(t.Context(), l)
	if err != nil {
		t.Fatalf("launched again: %v", err)
	}
	ask(t, n, "pid")
}

func TestAHostThatComesTooLateStaysAway(t *testing.T) {
	o := options(t)
	broken := o
	broken.Command = []string{"/bin/false"}
	l := launch("c-1", time.Minute, "127.0.0.1:1")
	_, _ = open(t, broken).Launch(t.Context(), l)
	asked, err := filepath.Glob(filepath.Join(o.Dir, "asked", "i-*.json"))
	if err != nil || len(asked) != 1 {
		t.Fatalf("asked %v, %v", asked, err)
	}
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(asked[0], old, old); err != nil {
		t.Fatal(err)
	}
	if err := local.Host(t.Context(), asked[0]); err == nil || !strings.Contains(err.Error(), "too long ago") {
		t.Errorf("host: %v", err)
	}
}

func TestAnUnreadableRecordIsNoEmptyListing(t *testing.T) {
	o := options(t)
	d := open(t, o)
	path := filepath.Join(o.Dir, "nodes", "i-0123456789.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if nodes, err := d.List(t.Context()); err == nil {
		t.Errorf("listed %v", nodes)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyOthersCanReadIsRefused(t *testing.T) {
	o := options(t)
	if err := os.Chmod(o.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(o); err == nil {
		t.Error("opened")
	}
}

// startController launches l from a process of its own.
func startController(t *testing.T, o local.Options, l pools.Launch) (*exec.Cmd, string) {
	t.Helper()
	b, err := json.Marshal(order{Exe: o.Command[0], Dir: o.Dir, KeyFile: o.KeyFile, Lifeline: o.Lifeline, Launch: l})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "controller.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(o.Command[0], "controller", path)
	cmd.Env, cmd.Stderr = append(os.Environ(), role+"=yes"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	id, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(id)
}
