package cloudinit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needs skips, or fails where every real part is to be there.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("BURST_REAL") != "":
		t.Fatalf("needs %s", what)
	default:
		t.Skipf("needs %s", what)
	}
}

// found reports whether all these programs are here.
func found(names ...string) bool {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	return true
}

func TestCloudInitItselfFindsNothingWrong(t *testing.T) {
	needs(t, found("cloud-init"), "cloud-init, for its schema")
	for _, provider := range []string{"aws", "azure"} {
		doc, _, _ := render(t, provider)
		path := filepath.Join(t.TempDir(), "user-data")
		if err := os.WriteFile(path, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "cloud-init", "schema", "-c", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Valid cloud-config") {
			t.Errorf("%s: %v\n%s", provider, err, out)
		}
		broken := strings.Replace(string(doc), "permissions: \"0644\"", "permissions: [0]", 1)
		if broken == string(doc) {
			t.Fatal("nothing to break")
		}
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "cloud-init", "schema", "-c", path).CombinedOutput(); err == nil {
			t.Errorf("%s: a broken document passes\n%s", provider, out)
		}
	}
}

// world is a machine behind the fence and one that is everybody else: two
// networks with a wire between them. Each line of the table is a connection.
const world = `
set -eu
ip link set lo up
ip link add inside type veth peer name outside
unshare -n sleep 300 >/dev/null & peer=$!
while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
out() { nsenter -t $peer -n "$@"; }
ip link set outside netns $peer
ip addr add 192.0.2.10/24 dev inside; ip link set inside up; ip route add default via 192.0.2.1
out ip link set lo up; out ip link set outside up
for a in 192.0.2.1/24 198.51.100.7/32 198.51.100.8/32 169.254.169.254/32 203.0.113.5/32 203.0.113.77/32; do
  out ip addr add $a dev outside
done
for at in 198.51.100.7:8443 198.51.100.7:443 198.51.100.8:8443 169.254.169.254:80; do
  out "$ANSWER" $at >/dev/null &
done
"$ANSWER" 192.0.2.10:7443 >/dev/null & "$ANSWER" 192.0.2.10:22 >/dev/null &
to() { timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && echo yes || echo no; }
nobody() {
  timeout 1 setpriv --reuid 65534 --clear-groups bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && echo yes || echo no
}
from() { out timeout 1 "$ANSWER" $1 192.0.2.10:$2 2>/dev/null && echo yes || echo no; }
for i in $(seq 100); do
  [ "$(to 198.51.100.7 8443)$(to 169.254.169.254 80)$(from 203.0.113.5 7443)" = yesyesyes ] && break
  sleep 0.1
done
echo "before: $(nobody 169.254.169.254 80) $(to 198.51.100.8 8443) $(from 203.0.113.77 22)"
nft -f "$FENCE"
echo "root to the control endpoint: $(to 198.51.100.7 8443)"
echo "root to another port of it: $(to 198.51.100.7 443)"
echo "root to anybody else: $(to 198.51.100.8 8443)"
echo "root to the metadata service: $(to 169.254.169.254 80)"
echo "nobody to the metadata service: $(nobody 169.254.169.254 80)"
echo "nobody to the control endpoint: $(nobody 198.51.100.7 8443)"
echo "an edge to the road: $(from 203.0.113.5 7443)"
echo "an edge to another port: $(from 203.0.113.5 22)"
echo "a stranger to the road: $(from 203.0.113.77 7443)"
`

func TestTheFenceLetsTheEdgeInAndTheAgentOutAndNobodyElse(t *testing.T) {
	needs(t, os.Geteuid() == 0 && found("nft", "ip", "unshare", "nsenter", "setpriv", "bash"),
		"root, nftables, iproute2 and util-linux")
	_, _, files := render(t, "aws")
	fence := filepath.Join(t.TempDir(), "fence.nft")
	if err := os.WriteFile(fence, []byte(files["/etc/burst/fence.nft"]), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
		"bash", "-c", world) // whatever it starts ends with it
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "FENCE="+fence, "ANSWER="+self, answering+"=1")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, said.String())
	}
	const want = `before: yes yes yes
root to the control endpoint: yes
root to another port of it: no
root to anybody else: no
root to the metadata service: yes
nobody to the metadata service: no
nobody to the control endpoint: no
an edge to the road: yes
an edge to another port: no
a stranger to the road: no
`
	if string(out) != want {
		t.Errorf("behind the fence\n%s, want\n%s", out, want)
	}
}
