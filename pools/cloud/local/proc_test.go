package local_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/burstctl/burstctl/pools/cloud/local"
)

// stop makes a process hang.
const stop = syscall.SIGSTOP

// publicKey is the provider's.
func publicKey(t *testing.T, o local.Options) ed25519.PublicKey {
	t.Helper()
	b, err := os.ReadFile(o.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k.(ed25519.PrivateKey).Public().(ed25519.PublicKey)
}

// hostOf is the host process of a node, as its record says.
func hostOf(t *testing.T, o local.Options, id string) *os.Process {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(o.Dir, "nodes", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ PID int }
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(r.PID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// processes are those alive that name the node in their command line, or work
// in its scratch directory.
func processes(t *testing.T, id, scratch string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range dirs {
		line, _ := os.ReadFile(dir + "/cmdline") // it may have ended meanwhile
		cwd, _ := os.Readlink(dir + "/cwd")
		if bytes.Contains(line, []byte(id)) || strings.HasPrefix(cwd, scratch) {
			found = append(found, dir+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// mounts is what is mounted here.
func mounts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
