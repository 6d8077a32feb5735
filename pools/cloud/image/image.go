// Package image makes an OCI image into a directory that a job can be confined
// to.
//
// # How an image travels
//
// A site holds an image as an OCI image layout, a directory like any other
// program's, and it comes to the node by the same road. A job names it by the
// digest of its manifest; [Unpack] checks every blob down from that digest, so
// nothing between the one who named it and the node need be trusted.
//
// # What is kept of it
//
// Files, directories and links, without owners, set-user-ID bits or devices:
// the job runs as who unpacked it. Of the image's configuration, environment
// and working directory are used; command and user are the job's to say.
//
// *Non-goals*: registries, and being a container runtime: a root directory is
// all the confinement there is here, the node itself is the rest.
//
// Source: OCI image specification 1.1, image layout and layer file system.
package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// Root is an unpacked image. Made by [Unpack]; the zero Root is none.
type Root struct {
	Path string   // the directory, absolute
	Env  []string // as the image has it, NAME=value
	Dir  string   // where the image wants to start, a path within
}

// Unpack checks the image with this manifest digest ("sha256:…") in the layout
// at dir and unpacks it into root, which it makes and which must not exist.
func Unpack(dir, digest, root string) (Root, error) {
	r, err := unpack(dir, digest, root)
	if err != nil {
		return Root{}, fmt.Errorf("unpack image %s: %w", digest, err)
	}
	return r, nil
}

func unpack(dir, digest, root string) (Root, error) {
	img, err := find(dir, digest)
	if err != nil {
		return Root{}, err
	}
	if err := validate.Image(img); err != nil {
		return Root{}, fmt.Errorf("check blobs: %w", err)
	}
	conf, err := img.ConfigFile()
	if err != nil {
		return Root{}, fmt.Errorf("read configuration: %w", err)
	}
	if err := os.Mkdir(root, 0o700); err != nil {
		return Root{}, err
	}
	within, err := os.OpenRoot(root)
	if err != nil {
		return Root{}, err
	}
	defer within.Close()
	files := mutate.Extract(img)
	defer files.Close()
	if err := extract(within, tar.NewReader(files)); err != nil {
		return Root{}, err
	}
	abs, err := filepath.Abs(root)
	return Root{Path: abs, Env: conf.Config.Env, Dir: path.Join("/", conf.Config.WorkingDir)}, err
}

// find opens the image, which the layout's index must name itself.
func find(dir, digest string) (v1.Image, error) {
	want, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	for _, m := range manifest.Manifests {
		if m.Digest == want && m.MediaType.IsImage() {
			return index.Image(want)
		}
	}
	return nil, errors.New("the layout's index names no such image")
}

// extract writes files below the root, never past it.
func extract(root *os.Root, files *tar.Reader) error {
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read layers: %w", err)
		}
		name := strings.TrimPrefix(path.Join("/", h.Name), "/")
		if name == "" {
			continue
		}
		if err := put(root, name, h, files); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
}

// put writes one entry; devices and pipes are left out.
func put(root *os.Root, name string, h *tar.Header, body io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		err := root.Mkdir(name, mode|0o700)
		if errors.Is(err, fs.ErrExist) {
			return root.Chmod(name, mode|0o700)
		}
		return err
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(path.Join("/", h.Linkname), "/"), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, body)
		return errors.Join(err, f.Close())
	}
	return nil
}

// Find is the path within the image of a command, as execvp(3) looks for it: a
// name with a slash is itself, any other is looked for in the image's PATH.
func (r Root) Find(name string) (string, error) {
	switch {
	case path.IsAbs(name):
		return path.Clean(name), nil
	case strings.Contains(name, "/"):
		return path.Join(r.Dir, name), nil
	}
	root, err := os.OpenRoot(r.Path)
	if err != nil {
		return "", err
	}
	defer root.Close()
	for _, dir := range filepath.SplitList(r.lookup("PATH")) {
		p := path.Join("/", dir, name)
		if info, err := root.Stat(p[1:]); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("find %s: it is in no directory of the image's PATH", name)
}

// lookup is the value of a variable of the image.
func (r Root) lookup(name string) string {
	for _, pair := range r.Env {
		if n, v, _ := strings.Cut(pair, "="); n == name {
			return v
		}
	}
	return ""
}
