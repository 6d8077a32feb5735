package residency

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bucket is where a dataset lies that does not lie in a directory: below a
// prefix of a bucket, on a store with the S3 protocol, on site. Made by configs
// from the catalogue; the zero Bucket is refused. Who may read it is no part of
// it: that is in a file of the edge's.
type Bucket struct {
	Endpoint string `json:"endpoint"`         // "https://s3.hq.example:9000", or http on this machine
	Name     string `json:"name"`             // of the bucket
	Prefix   string `json:"prefix,omitempty"` // what the keys begin with, before a version's dir; empty: nothing
	Region   string `json:"region,omitempty"` // that requests are signed for; empty: "us-east-1"
}

// At names the place of a version's files: endpoint, bucket and what keys begin
// with.
func (b Bucket) At(dir string) string { return b.Endpoint + "/" + b.Name + "/" + b.Keys(dir) }

// Keys is what the keys of a version's files begin with: "lake/2025-q3/".
func (b Bucket) Keys(dir string) string { return path.Join(b.Prefix, dir) + "/" }

// SignedFor is the region that requests are signed for.
func (b Bucket) SignedFor() string { return cmp.Or(b.Region, "us-east-1") }

// check reports the first thing wrong with a bucket.
func (b Bucket) check() error {
	scheme, host, _ := strings.Cut(b.Endpoint, "://")
	here := slices.ContainsFunc([]string{"127.0.0.1:", "[::1]:", "localhost:"},
		func(p string) bool { return strings.HasPrefix(host, p) })
	switch {
	case scheme != "https" && (scheme != "http" || !here) || host == "" || strings.ContainsAny(host, "/?#@\\ "):
		return wrong([]string{"bucket", "endpoint"}, "endpoint is not https:// and a host")
	case len(b.Name) < 3 || len(b.Name) > 63 || strings.Trim(b.Name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" ||
		strings.Contains(b.Name, "..") || strings.Trim(b.Name, "-.") != b.Name:
		return wrong([]string{"bucket", "name"}, "%q is no bucket's name", b.Name)
	case b.Prefix != "" && checkName(b.Prefix) != nil:
		return wrong([]string{"bucket", "prefix"}, "prefix is not a clean relative path")
	case strings.Trim(b.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return wrong([]string{"bucket", "region"}, "%q is no region's name", b.Region)
	}
	return nil
}

// CheckNames reports why files of these names cannot lie beside one another on
// any site and node: a name that is not a clean relative path, two that are the
// same but for case, one that another uses as a directory.
func CheckNames(names []string) error {
	seen := map[string]bool{}
	for _, n := range names {
		if err := checkName(n); err != nil {
			return fmt.Errorf("file %q: %w", n, err)
		}
		if seen[fold(n)] {
			return fmt.Errorf("file %q differs from another in case only", n)
		}
		seen[fold(n)] = true
	}
	for _, n := range names {
		for d := path.Dir(fold(n)); d != "."; d = path.Dir(d) {
			if seen[d] {
				return fmt.Errorf("file %q lies in another file", n)
			}
		}
	}
	return nil
}
