package image_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/burstctl/burstctl/pools/cloud/image"
)

// build writes a layout of one image with these layers and returns its digest.
func build(t *testing.T, dir string, layers ...[]*tar.Header) string {
	t.Helper()
	img := empty.Image
	for _, headers := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			body := ""
			if h.Typeflag == tar.TypeReg {
				body = "of " + h.Name
				h.Size = int64(len(body))
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
		l, err := tarball.LayerFromOpener(opener)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	img, err := mutate.Config(img, v1.Config{Env: []string{"PATH=/none:/bin", "LANG=C"}, WorkingDir: "srv"})
	if err != nil {
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

func file(name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}
}

func TestAnImageIsUnpackedLayerOverLayer(t *testing.T) {
	dir, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
	digest := build(t, dir,
		[]*tar.Header{file("bin/train", 0o4755), file("etc/old", 0o644), file("srv/x", 0o600),
			{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "train"},
			{Typeflag: tar.TypeSymlink, Name: "etc/out", Linkname: "/etc/passwd"},
			{Typeflag: tar.TypeLink, Name: "bin/hard", Linkname: "bin/train"},
			{Typeflag: tar.TypeChar, Name: "dev/null", Devmajor: 1, Devminor: 3}},
		[]*tar.Header{file("etc/.wh.old", 0), file("etc/new", 0o644)})
	r, err := image.Unpack(dir, digest, root)
	if err != nil {
		t.Fatal(err)
	}
	if r.Path != root || r.Dir != "/srv" || !slices.Equal(r.Env, []string{"PATH=/none:/bin", "LANG=C"}) {
		t.Errorf("got %+v", r)
	}
	for name, want := range map[string]string{"bin/train": "of bin/train", "bin/sh": "of bin/train",
		"bin/hard": "of bin/train", "etc/new": "of etc/new", "srv/x": "of srv/x"} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"etc/old", "etc/.wh.old", "dev/null"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "bin/train")); err != nil || info.Mode() != 0o755 {
		t.Errorf("bin/train: %v, %v", info.Mode(), err)
	}
	for name, want := range map[string]string{"train": "/bin/train", "./x": "/srv/x", "/bin/sh": "/bin/sh"} {
		if got, err := r.Find(name); err != nil || got != want {
			t.Errorf("find %s: %q, %v", name, got, err)
		}
	}
	if got, err := r.Find("python"); err == nil {
		t.Errorf("found python at %q", got)
	}
}

func TestAnImageThatIsNotTheOneNamedIsRefused(t *testing.T) {
	whole := []*tar.Header{file("bin/train", 0o755)}
	other := "sha256:" + strings.Repeat("0", 64)
	for name, spoil := range map[string]func(t *testing.T, dir string, digest *string){
		"another digest": func(_ *testing.T, _ string, d *string) { *d = other },
		"no digest":      func(_ *testing.T, _ string, d *string) { *d = "latest" },
		"no layout":      func(t *testing.T, dir string, _ *string) { remove(t, filepath.Join(dir, "index.json")) },
		"a changed blob": func(t *testing.T, dir string, d *string) {
			flip(t, filepath.Join(dir, "blobs", strings.Replace(*d, ":", "/", 1)))
		},
		"a changed layer": func(t *testing.T, dir string, _ *string) { flip(t, layer(t, dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
			digest := build(t, dir, whole)
			spoil(t, dir, &digest)
			if r, err := image.Unpack(dir, digest, root); err == nil {
				t.Errorf("unpacked %+v", r)
			}
			if _, err := os.Stat(filepath.Join(root, "bin")); err == nil {
				t.Error("something was unpacked")
			}
		})
	}
}

func TestNothingIsWrittenOutsideTheRoot(t *testing.T) {
	for name, headers := range map[string][]*tar.Header{
		"dots":               {file("../../out", 0o644)},
		"an absolute name":   {file("/out", 0o644)},
		"a link above":       {{Typeflag: tar.TypeSymlink, Name: "up", Linkname: "../.."}, file("up/out", 0o644)},
		"an absolute link":   {{Typeflag: tar.TypeSymlink, Name: "up", Linkname: "/"}, file("up/out", 0o644)},
		"a hard link beyond": {{Typeflag: tar.TypeLink, Name: "out", Linkname: "../../etc/passwd"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, above := t.TempDir(), t.TempDir()
			digest := build(t, dir, headers)
			_, err := image.Unpack(dir, digest, filepath.Join(above, "in", "root"))
			if err == nil {
				t.Fatal("unpacked below a directory that is not there")
			}
			_, _ = image.Unpack(dir, digest, filepath.Join(above, "root"))
			found, err := filepath.Glob(filepath.Join(above, "*"))
			if err != nil || len(found) > 1 {
				t.Errorf("beside the root: %q, %v", found, err)
			}
			if _, err := os.Stat("/out"); err == nil {
				t.Error("/out was written")
			}
		})
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// layer is the layout's gzipped layer.
func layer(t *testing.T, dir string) string {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range blobs {
		if b, err := os.ReadFile(name); err == nil && len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b {
			return name
		}
	}
	t.Fatal("no gzipped blob")
	return ""
}
