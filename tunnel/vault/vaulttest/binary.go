package vaulttest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// ready is the line that configs/tools/vault prints when it serves.
type ready struct {
	Addr      string `json:"addr"`
	UnsealKey string `json:"unseal_key"`
	RootToken string `json:"root_token"`
}

// binary finds the built server, building it under BURST_REAL. The cache holds
// one per content of configs/tools/vault; a file lock keeps packages tested at
// the same time from building it twice.
func binary(t testing.TB) string {
	t.Helper()
	src, key, err := source()
	if err != nil {
		t.Fatalf("find configs/tools/vault: %v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		needs(t, "no cache directory for a built Vault: "+err.Error())
	}
	dir := filepath.Join(cache, "burstctl-tests")
	bin := filepath.Join(dir, "vault-"+key)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if os.Getenv("BURST_REAL") == "" {
		t.Skip("needs a Vault: BURST_REAL=1 go test -timeout 40m ./tunnel/vault/vaulttest builds one, in minutes, once")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := build(t, src, dir, bin); err != nil {
		t.Fatalf("build configs/tools/vault: %v", err)
	}
	return bin
}

// source finds configs/tools/vault above the test's directory, and a key over
// all that decides what is built from it.
func source() (dir, key string, err error) {
	at, err := os.Getwd()
	if err != nil {
		return "", "", err
	}
	for {
		dir = filepath.Join(at, "configs", "tools", "vault")
		if _, err := os.Stat(filepath.Join(dir, "go.sum")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			return "", "", os.ErrNotExist
		}
		at = filepath.Dir(at)
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	files, err := filepath.Glob(filepath.Join(dir, "*.go")) // sorted
	if err != nil {
		return "", "", err
	}
	for _, f := range append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")) {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintln(h, filepath.Base(f), len(text))
		h.Write(text)
	}
	return dir, hex.EncodeToString(h.Sum(nil))[:16], nil
}

// build compiles src to bin with the flags its README names: others would
// compile all of Vault again.
func build(t testing.TB, src, dir, bin string) error {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(bin); err == nil {
		return nil // another package's tests built it meanwhile
	}
	cmd := exec.CommandContext(t.Context(), "go", "build",
		"-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", bin+".new", ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	t.Log("building Vault; minutes with a cold cache")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(bin+".new", bin)
}

// launch starts the server and waits for its line. It ends with the test, with
// the thread that started it, and when its stdin closes: whichever is first.
func launch(t testing.TB, bin string) ready {
	t.Helper()
	cmd := exec.Command(bin)
	cmd.Env = []string{"HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines, failed, ended := make(chan ready, 1), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // Pdeathsig fires when the starting thread ends
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			failed <- err
			return
		}
		var r ready
		line, _ := bufio.NewReader(stdout).ReadBytes('\n')
		if err := json.Unmarshal(line, &r); err != nil {
			_ = cmd.Process.Kill()
			failed <- fmt.Errorf("its first line: %w; stderr: %s", err, log.Bytes())
		} else {
			lines <- r
		}
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		hold.Close()
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
		<-ended
	})
	select {
	case r := <-lines:
		return r
	case err := <-failed:
		t.Fatalf("start Vault: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("start Vault: no address after a minute")
	}
	return ready{}
}
