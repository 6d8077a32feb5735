package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
	"github.com/burstctl/burstctl/residency/places"
	"github.com/burstctl/burstctl/scenarios/claims"
	"github.com/burstctl/burstctl/scenarios/traces"
	"github.com/burstctl/burstctl/scenarios/train"
)

// demoFiles are the config files of the demo's house. They are read by the
// same readers as a deployment's.
//
//go:embed demo
var demoFiles embed.FS

// demoDomain is the trust domain of the demo's house.
const demoDomain = "demo.burst.test"

// demoSeed makes every run train on the same synthetic claims.
const demoSeed = 20251001

// buildHouse writes everything a small deployment has into dir: keys, configs,
// rules, places, offers, a data directory and a program.
func buildHouse(dir string) error {
	plan := keys.Plan{Domain: demoDomain, Origin: demoDomain + "/log", Sites: []string{"hq"}, Users: []string{"demo"}}
	if err := initKeys(filepath.Join(dir, "keys"), plan); err != nil {
		return err
	}
	payload, err := buildPayload(filepath.Join(dir, "payloads", "train"))
	if err != nil {
		return err
	}
	written := func(d string) error { return buildConfigs(d, payload) }
	for _, step := range []func(string) error{buildPlaces, buildLaw, buildData, written, buildSlices} {
		if err := step(dir); err != nil {
			return fmt.Errorf("build demo: %w", err)
		}
	}
	return os.Rename(filepath.Join(dir, "keys", "trust.txt"), filepath.Join(dir, "trust.txt"))
}

// buildPlaces signs the place table with the office's key.
func buildPlaces(dir string) error {
	skey, err := keys.Text(filepath.Join(dir, "keys", "office", "places.key"))
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	signed, err := residency.SignTable(places.CSV, signer)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "places.note"), signed, 0o644)
}

// buildLaw writes the rule files.
func buildLaw(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "rules"), 0o700); err != nil {
		return err
	}
	for name, text := range rules.Files() {
		if err := os.WriteFile(filepath.Join(dir, "rules", name), text, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "offers.csv"), catalog.Demo, 0o644)
}

// buildData writes the synthetic claims and the recorded day.
func buildData(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "day.csv"), traces.PhillyDay, 0o644); err != nil {
		return err
	}
	return claims.Write(filepath.Join(dir, "data"), demoSeed)
}

// buildSlices makes what the site serves of the claims, with a key of its own.
func buildSlices(dir string) error {
	if _, err := columnar.NewKey(filepath.Join(dir, "keys", "edge-hq", "pseudonym.key")); err != nil {
		return err
	}
	_, err := eachSlice(dir, (*columnar.Store).Build)
	return err
}

// eachSlice does something with every slice of a house, in the catalogue's order.
func eachSlice(dir string, do func(*columnar.Store, residency.Dataset, residency.SliceSpec) (columnar.Built, error),
) (all []columnar.Built, err error) {
	sets, err := configs.ReadCatalogue(filepath.Join(dir, "catalogue.yaml"))
	if err != nil {
		return nil, err
	}
	key, err := columnar.ReadKey(filepath.Join(dir, "keys", "edge-hq", "pseudonym.key"))
	if err != nil {
		return nil, err
	}
	s, err := columnar.OpenStore(filepath.Join(dir, "data"), filepath.Join(dir, "slices"), key, time.Now())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, d := range sets {
		for _, spec := range d.Slices {
			b, err := do(s, d, spec)
			if err != nil {
				return nil, err
			}
			all = append(all, b)
		}
	}
	return all, nil
}

// madeOf tells, for people, what the slices that are made were made of.
func madeOf(dir string) (lines []string, err error) {
	all, err := eachSlice(dir, (*columnar.Store).Held)
	for _, b := range all {
		if m := b.Manifest.Made; m.Derived {
			lines = append(lines, fmt.Sprintf("slice %s is made on site: %d columns of %d rows; %s by code; "+
				"at least %d %s for each %s", b.Manifest.Slice, len(m.Columns), m.Rows,
				strings.Join(m.Pseudonymised, ", "), m.SmallestGroup, m.Unit(), strings.Join(m.Groups, " and ")))
		}
	}
	return lines, err
}

// buildPayload puts the training program together: this very binary and what
// it is to train. It returns the digest of the whole.
func buildPayload(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("build payload: %w", err)
	}
	conf, err := json.MarshalIndent(train.Config{Epochs: 10, Seed: demoSeed, Rate: 0.02, Label: "high_cost",
		Inputs: []string{"age_band", "diagnosis", "stay_days", "prior_claims"}, Pause: 250 * time.Millisecond}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("build payload: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "train.json"), append(conf, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("build payload: %w", err)
	}
	if err := copySelf(filepath.Join(dir, "train")); err != nil {
		return "", fmt.Errorf("build payload: %w", err)
	}
	m, err := residency.BuildManifest(edge.PayloadName, os.DirFS(dir))
	return m.Digest(), err
}

// copySelf copies the running binary.
func copySelf(to string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	src, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// buildConfigs writes the config files, with the one thing filled in that
// differs from machine to machine: the digest of the program.
func buildConfigs(dir, payload string) error {
	return fs.WalkDir(demoFiles, "demo", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := demoFiles.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), "PAYLOAD_DIGEST", payload)
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(text), 0o600)
	})
}
