package agent_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/burstctl/burstctl/tunnel"
)

// look is a program that tells what it sees: its root, its slice, its variables.
const look = `package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	var b strings.Builder
	root, _ := os.ReadDir("/")
	for _, e := range root {
		fmt.Fprintln(&b, "root has", e.Name())
	}
	data, err := os.ReadFile(os.Getenv("BURST_SLICE") + "/claims.csv")
	fmt.Fprintln(&b, "slice has", len(data), err)
	for _, pair := range os.Environ() {
		fmt.Fprintln(&b, "env has", pair)
	}
	if err := os.WriteFile(os.Getenv("BURST_OUT")+"/model.bin", []byte(b.String()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
`

// imageOf builds a program into an image's layout and returns the image's digest.
func imageOf(t *testing.T, dir string) string {
	t.Helper()
	src := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(src, []byte(look), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "look")
	build := exec.Command("go", "build", "-o", bin, src)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "opt/look", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.Config(img, v1.Config{Env: []string{"PATH=/opt", "LANG=C"}}); err != nil {
		t.Fatal(err)
	}
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestAnImageIsAllThatItsJobSees(t *testing.T) {
	w := newWorld(t, "")
	dir := t.TempDir()
	w.desk.job.Payload = imageOf(t, dir)
	w.desk.job.Command = []string{"look"}
	w.desk.payload = w.hold(t, "payload/program", dir)
	ended := w.run(t)
	var f tunnel.Finished
	w.report(t, "job-finished", &f)
	if f != (tunnel.Finished{}) {
		t.Fatalf("the job finished with %+v", f)
	}
	got, _ := w.edge.result("model.bin")
	want := `root has burst
root has opt
slice has 12 <nil>
env has PATH=/opt
env has LANG=C
env has HOME=/burst/tmp
env has TMPDIR=/burst/tmp
env has BURST_SLICE=/burst/slice
env has BURST_OUT=/burst/out
env has BURST_REPORT=/burst/tmp/report
`
	if got != want {
		t.Errorf("the job saw\n%s, want\n%s", got, want)
	}
	w.end(t, ended)
	w.empty(t)
}

func TestAProgramThatIsNotWhatTheJobNamesIsNotRun(t *testing.T) {
	other := "sha256:" + strings.Repeat("0", 64)
	for name, fill := range map[string]func(t *testing.T, dir string){
		"a directory":     func(t *testing.T, dir string) { write(t, filepath.Join(dir, "train"), "#!/bin/sh\n") },
		"another's image": func(t *testing.T, dir string) { imageOf(t, dir) },
		"a broken image": func(t *testing.T, dir string) {
			imageOf(t, dir)
			write(t, filepath.Join(dir, "index.json"), "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			dir := t.TempDir()
			fill(t, dir)
			w.desk.job.Payload, w.desk.job.Command = other, []string{"./train"}
			w.desk.payload = w.hold(t, "payload/program", dir)
			ended := w.run(t)
			var f tunnel.Finished
			w.report(t, "job-finished", &f)
			if f.Exit == 0 || !strings.Contains(f.Why, "unpack image "+other) {
				t.Errorf("the job finished with %+v", f)
			}
			w.end(t, ended)
			w.empty(t)
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}
