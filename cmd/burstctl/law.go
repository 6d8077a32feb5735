package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/configs/roles"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
)

// readLaw reads the rules, places and catalogue of a controller.
func readLaw(c configs.Controller) (perform.InForce, error) {
	rules, err := readRules(c.Rules)
	if err != nil {
		return perform.InForce{}, err
	}
	places, err := readPlaces(c.Places)
	if err != nil {
		return perform.InForce{}, err
	}
	catalogue, err := readCatalogue(c.Catalogue)
	return perform.InForce{Rules: rules, Places: places, Catalogue: catalogue}, err
}

// readRules reads every .cedar file of a directory.
func readRules(dir string) (*residency.Rules, error) {
	files, err := cedarFiles(dir)
	if err != nil {
		return nil, frame.Wrap(frame.BadRules, err, "")
	}
	rules, err := residency.ParseRules(files)
	return rules, frame.Wrap(frame.BadRules, err, "")
}

// cedarFiles reads the .cedar files at path, a directory or one file.
func cedarFiles(path string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(path, "*.cedar"))
	if info, serr := os.Stat(path); serr == nil && !info.IsDir() {
		names = []string{path}
	}
	if err == nil && len(names) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("read rules: no .cedar file at %s: %w", path, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
	}
	return files, nil
}

// readPlaces reads the place table. With keys the table must be signed by as
// many of them as the threshold says, else all; an unsigned table is taken only where no key is named.
func readPlaces(c configs.Places) (*residency.Table, error) {
	b, err := os.ReadFile(c.Table)
	if err != nil {
		return nil, frame.Wrap(frame.BadPlaces, fmt.Errorf("read places: %w", err), "")
	}
	if len(c.Keys) == 0 {
		t, err := residency.ParseTable(b)
		return t, frame.Wrap(frame.BadPlaces, err, "")
	}
	vs, err := keys.Verifiers(c.Keys...)
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	t, _, err := residency.OpenTableBy(b, note.VerifierList(vs...), c.Need())
	return t, frame.Wrap(frame.BadPlaces, err, "")
}

func readCatalogue(path string) (*residency.Catalogue, error) {
	ds, err := configs.ReadCatalogue(path)
	if err != nil {
		return nil, frame.Wrap(frame.BadCatalogue, err, "")
	}
	c, err := residency.NewCatalogue(ds)
	return c, frame.Wrap(frame.BadCatalogue, err, "")
}

// readOffers reads what can be had where, at which price.
func readOffers(c configs.Controller) ([]policy.Offer, error) {
	b, err := os.ReadFile(c.Offers)
	if err != nil {
		return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read offers: %w", err), "")
	}
	offers, err := catalog.Parse(b)
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, fmt.Errorf("read offers: %s: %w", c.Offers, err), "")
	}
	return offers, nil
}

// readRoles reads who may ask for what, and how tokens are checked.
func readRoles(c configs.Controller) (
	allow func(actor string, groups []string, action string) error,
	token func(ctx context.Context, raw string) (string, []string, error), err error,
) {
	files, err := cedarFiles(c.Roles)
	if err != nil {
		return nil, nil, frame.Wrap(frame.BadRules, err, "")
	}
	r, err := roles.Parse(files)
	if err != nil {
		return nil, nil, frame.Wrap(frame.BadRules, err, "")
	}
	if c.OIDC == nil || strings.TrimSpace(c.OIDC.Issuer) == "" {
		return r.Allow, nil, nil
	}
	o := roles.OIDC{Issuer: c.OIDC.Issuer, Audience: c.OIDC.Audience, RolesClaim: c.OIDC.RolesClaim}
	v, err := roles.NewOIDC(context.Background(), o)
	if err != nil {
		return nil, nil, frame.Wrap(frame.BadConfig, err, "")
	}
	return r.Allow, v.Verify, nil
}
