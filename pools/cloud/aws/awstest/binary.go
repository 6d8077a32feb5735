package awstest

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// needs skips where the server cannot be had, and fails where it was promised.
func needs(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BURST_REAL") != "" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// binary finds Canonical's server on PATH, or builds it once into the user's
// cache directory, by the content of configs/tools/ec2test.
func binary(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("ec2test"); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		needs(t, "a cache directory for ec2test: "+err.Error())
	}
	src, key := source(t)
	dir := filepath.Join(cache, "burstctl-tests")
	bin := filepath.Join(dir, "ec2test-"+key)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fresh := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.Command("go", "build", "-C", src, "-mod=readonly", "-trimpath", "-o", fresh, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		needs(t, fmt.Sprintf("ec2test, which cannot be built here: %v\n%s", err, out))
	}
	if err := os.Rename(fresh, bin); err != nil {
		t.Fatal(err)
	}
	return bin
}

// source finds configs/tools/ec2test above the test's directory, and a key over
// what decides its binary.
func source(t testing.TB) (dir, key string) {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		dir = filepath.Join(at, "configs", "tools", "ec2test")
		if _, err := os.Stat(filepath.Join(dir, "go.sum")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			t.Fatal("configs/tools/ec2test is not above the test's directory")
		}
		at = filepath.Dir(at)
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		h.Write(text)
	}
	return dir, fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// serve starts the server with n regions, and returns their addresses. It ends
// with the test, or with this process.
func serve(t testing.TB, n int) []string {
	t.Helper()
	cmd := exec.Command(binary(t), strconv.Itoa(n))
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hold.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("ec2test: %v", err)
		}
	})
	var urls []string
	for lines := bufio.NewScanner(out); len(urls) < n && lines.Scan(); {
		urls = append(urls, lines.Text())
	}
	if len(urls) < n {
		t.Fatalf("ec2test serves %d of %d regions", len(urls), n)
	}
	return urls
}
