// Package keys makes and reads the keys of a house: who may sign what, and
// where each secret lies.
//
// # Which key does what
//
// The log key signs checkpoints, the witness key of each site cosigns them, the
// grants key seals grants, the places key signs the place table. The house CA
// certifies the controller, edges and people; the grants CA (only where Vault
// is not used) certifies nodes and nothing else. Each edge also has a key that
// signs its requests. Each approver has a key that approves exceptions.
//
// # Where they lie
//
// [Init] writes one folder a machine: controller, edge-<site>, user-<name>,
// nats, and office for what no machine needs while it runs (the house CA's key,
// the places key). A secret is a file of mode 0600 and is in no other folder.
package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency/audit"
)

// Plan names whom a house has keys for. The zero Plan is refused.
type Plan struct {
	Domain string   // trust domain, such as "burst.example.org"
	Origin string   // the log's name, such as "burst.example.org/log"
	Sites  []string // edges
	Users  []string // people and programs at the command line

	Approvers []string // of them, and besides, who may approve exceptions
}

// ErrExists: the directory already holds a house. Nothing was written.
var ErrExists = errors.New("keys exist already")

// Init makes every key of the plan below dir, which must not hold one yet.
func Init(dir string, p Plan) error {
	if p.Domain == "" || p.Origin == "" || len(p.Sites) == 0 {
		return errors.New("make keys: domain, origin and at least one site must be named")
	}
	if _, err := os.Lstat(filepath.Join(dir, "office")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make keys in %s: %w", dir, ErrExists)
	}
	h := &house{dir: dir, plan: p, files: map[string][]byte{}}
	for _, step := range []func() error{h.authorities, h.signers, h.sites, h.people, h.approvers} {
		if err := step(); err != nil {
			return fmt.Errorf("make keys: %w", err)
		}
	}
	return h.write()
}

// house collects files before any is written.
type house struct {
	dir      string
	plan     Plan
	ca       authority
	log      string // vkey
	grants   string // vkey
	places   string // vkey
	witness  []string
	files    map[string][]byte
	grantsCA []byte
}

// authorities makes the two CAs and the controller's certificate.
func (h *house) authorities() (err error) {
	if h.ca, err = newAuthority(h.plan.Domain + " house CA"); err != nil {
		return err
	}
	grants, err := newAuthority(h.plan.Domain + " grants CA")
	if err != nil {
		return err
	}
	h.grantsCA = grants.certPEM()
	h.put("office/house-ca.key", h.ca.keyPEM())
	h.put("controller/grants-ca.key", grants.keyPEM())
	h.put("controller/grants-ca.pem", h.grantsCA)
	h.put("controller/ca.pem", h.ca.certPEM())
	return h.certify("controller/tls", "controller", "controller")
}

// signers makes the log, grants and places keys.
func (h *house) signers() error {
	for _, k := range []struct {
		file, name string
		vkey       *string
	}{
		{"controller/log", h.plan.Origin, &h.log},
		{"controller/grants", h.plan.Domain + "/grants", &h.grants},
		{"office/places", h.plan.Domain + "/places", &h.places},
	} {
		skey, vkey, err := note.GenerateKey(rand.Reader, k.name)
		if err != nil {
			return err
		}
		*k.vkey = vkey
		h.put(k.file+".key", []byte(skey+"\n"))
		h.put(k.file+".vkey", []byte(vkey+"\n"))
	}
	h.put("controller/places.vkey", []byte(h.places+"\n"))
	_, priv, err := ed25519.GenerateKey(rand.Reader) // signs the local driver's identity documents
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	h.put("controller/local-provider.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return err
}

// sites makes each edge's folder, and the trust file that names all witnesses.
func (h *house) sites() error {
	for _, site := range h.plan.Sites {
		at := "edge-" + site + "/"
		skey, vkey, err := audit.GenerateWitnessKey(h.plan.Domain + "/edge/" + site)
		if err != nil {
			return err
		}
		h.witness = append(h.witness, vkey)
		h.put(at+"witness.key", []byte(skey+"\n"))
		h.put("controller/witness-"+site+".vkey", []byte(vkey+"\n"))
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		if err := h.edgeKey(at, site, pub, priv); err != nil {
			return err
		}
		if err := h.certify(at+"tls", "edge", site); err != nil {
			return err
		}
		trust, err := audit.NewTrust(1, h.log, vkey)
		if err != nil {
			return err
		}
		h.put(at+"trust.txt", trust.Encode())
		for name, b := range map[string]string{"grants.vkey": h.grants, "places.vkey": h.places, "log.vkey": h.log} {
			h.put(at+name, []byte(b+"\n"))
		}
		h.put(at+"ca.pem", h.ca.certPEM())
		h.put(at+"grants-ca.pem", h.grantsCA)
	}
	trust, err := audit.NewTrust(1, h.log, h.witness...)
	if err != nil {
		return err
	}
	h.put("trust.txt", trust.Encode())
	return nil
}

func (h *house) edgeKey(at, site string, pub ed25519.PublicKey, priv ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	h.put(at+"edge.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	h.put("controller/edge-"+site+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	return nil
}

// people makes the certificates of users and of the bus.
func (h *house) people() error {
	for _, user := range append(slices.Clone(h.plan.Users), h.plan.Approvers...) {
		at := "user-" + user + "/"
		if err := h.certify(at+"tls", "user", user); err != nil {
			return err
		}
		h.put(at+"ca.pem", h.ca.certPEM())
	}
	cert, err := h.ca.server("nats", "localhost", "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	h.put("nats/tls/server.pem", cert.certPEM())
	h.put("nats/tls/server.key", cert.keyPEM())
	h.put("nats/ca.pem", h.ca.certPEM())
	return nil
}

// approvers makes the keys exceptions are approved with: each in its owner's
// folder, its verifier key where exceptions are opened.
func (h *house) approvers() error {
	for _, name := range h.plan.Approvers {
		skey, vkey, err := note.GenerateKey(rand.Reader, h.plan.Domain+"/approver/"+name)
		if err != nil {
			return err
		}
		h.put("user-"+name+"/approver.key", []byte(skey+"\n"))
		h.put("controller/approver-"+name+".vkey", []byte(vkey+"\n"))
		for _, site := range h.plan.Sites {
			h.put("edge-"+site+"/approver-"+name+".vkey", []byte(vkey+"\n"))
		}
	}
	return nil
}

// certify makes a certificate of the house for a role and name.
func (h *house) certify(file, role, name string) error {
	cert, err := h.ca.identity(h.plan.Domain, role, name)
	if err != nil {
		return err
	}
	h.put(file+".pem", append(cert.certPEM(), h.ca.certPEM()...))
	h.put(file+".key", cert.keyPEM())
	return nil
}

func (h *house) put(name string, b []byte) { h.files[name] = b }

// write writes every file, new, secrets with mode 0600.
func (h *house) write() error {
	for name, b := range h.files {
		path := filepath.Join(h.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".key") {
			mode = 0o600
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
		_, err = f.Write(b)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
	}
	return nil
}
