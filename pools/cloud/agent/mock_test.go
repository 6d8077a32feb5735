package agent_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// needs skips where a part is not there, and fails where it was promised.
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

// mockBinary finds AWS's metadata mock, or builds it once.
var mockBinary = sync.OnceValues(func() (string, error) {
	if path, err := exec.LookPath("ec2-metadata-mock"); err == nil {
		return path, nil
	}
	path := filepath.Join(built, "ec2-metadata-mock")
	cmd := exec.Command("go", "build", "-C", "../../../configs/tools/imds", "-mod=readonly", "-trimpath", "-o", path,
		"github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// built is where the tests build what they start.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "agent-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// signature stands for an rsa2048 signature: base64, in lines, as EC2 gives it.
const signature = "MIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG9w0B\nBwGggCSABIIB"

// mock starts AWS's own metadata mock on a port of loopback, sessions required,
// and returns its address. The mock knows no rsa2048 signature; it is told to
// serve one where EC2 does.
func mock(t *testing.T, flags ...string) (base string) {
	t.Helper()
	binary, err := mockBinary()
	needs(t, err == nil, "ec2-metadata-mock")
	home := t.TempDir()
	const item = "instance-identity-pkcs"
	conf, err := json.Marshal(map[string]any{"dynamic": map[string]any{
		"paths":  map[string]string{item: "/latest/dynamic/instance-identity/rsa2048"},
		"values": map[string]string{item: signature},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "mock.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"spot", "--hostname", host, "--port", port, "--imdsv2", "--config-file", file}, flags...)
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Dir = []string{"HOME=" + home}, home
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // on a thread of its own: another's could end with a job, and take the mock along
		runtime.LockOSThread()
		started <- cmd.Start()
		<-t.Context().Done()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	base = "http://" + host + ":" + port
	up(t, base)
	return base
}

// up waits until the mock answers, if only to refuse.
func up(t *testing.T, base string) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(base + "/latest/meta-data/"); err == nil {
			resp.Body.Close()
			return
		}
	}
	t.Fatal("the mock does not come up")
}

// plainly reads a path without a token, as version 1 would.
func plainly(t *testing.T, base, path string) (status int) {
	t.Helper()
	resp, err := http.Get(base + "/latest/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
