package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/burstctl/burstctl/residency"
)

// PayloadName is the slice name in the manifest of a program.
const PayloadName = "payload/program"

// Program is what a site holds for jobs to run: a directory, or the layout of
// an image, which is a directory as well. Made by [ReadProgram].
type Program struct {
	Manifest residency.Manifest
	Names    []string // what a job may name it by: its manifest's digest, or its images'
}

// ReadProgram reads a program's directory. An OCI image layout (image
// specification 1.1) is named by the digests of the images in its index; that
// they are what they are called is for the node to check, which unpacks them.
func ReadProgram(root fs.FS) (p Program, err error) {
	if p.Manifest, err = residency.BuildManifest(PayloadName, root); err != nil {
		return Program{}, err
	}
	p.Names = []string{p.Manifest.Digest()}
	if _, err := fs.Stat(root, "oci-layout"); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	b, err := fs.ReadFile(root, "index.json")
	if err != nil {
		return Program{}, fmt.Errorf("read image layout: %w", err)
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return Program{}, fmt.Errorf("read image layout: index.json: %w", err)
	}
	p.Names = nil
	for _, m := range index.Manifests {
		p.Names = append(p.Names, m.Digest)
	}
	if len(p.Names) == 0 {
		return Program{}, errors.New("read image layout: index.json names no image")
	}
	return p, nil
}
