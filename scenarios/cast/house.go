// Package cast plays the parts of a burst for tests: a house with a real log,
// issuer, ledger and engine over a cloud in memory, a site that witnesses and
// serves, and nodes that prove themselves and work.
//
// # What is real
//
// Everything but the wires and the machines. The engine is called directly
// instead of over TLS; the cloud is pools/cloud/sim; a node is a goroutine with
// a key of its own. Keys, receipts, grants, checkpoints, cosignatures and
// certificates are real and are checked where pools/onprem/edge and
// pools/cloud/agent check them.
//
// # Time
//
// Everything waits on package time alone, so that a house works in a
// testing/synctest bubble, where hours pass at once.
//
// # Non-goals
//
// It is for tests only; nothing in it is shipped. It has no bus: scenarios adds
// the real one.
package cast

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/issuer"
)

// The names of the house.
const (
	Domain = "cast.test"
	Origin = "cast.test/log"
	Place  = "hq" // the one site
	Team   = "fraud"
)

// Options are what differs between houses. Zero fields take a default; without
// Offerings nothing can be had.
type Options struct {
	Offerings []sim.Offering
	Bucket    sim.Bucket   // of each verb of the cloud
	Budget    policy.Money // of Team
	Alerts    []int        // percent of it
	MaxPrice  policy.Money // of a machine per hour; unknown is no bound
	Law       perform.InForce
	Timing    perform.Timing
	Approvers residency.Approvers // of exceptions
	Boot      time.Duration       // of a node; 0 is 30 s
	Job       time.Duration       // how long a job runs; 0 is 5 min
	// Beside runs beside each life of the controller, such as a bus consumer. It
	// ends with ctx.
	Beside func(ctx context.Context, e *perform.Engine)
	// Ledger stands before the real ledger, if set.
	Ledger func(perform.Ledger) perform.Ledger
	Dir    string       // of the log; "" is a temporary one
	Logger *slog.Logger // nil is silent
}

// House is a controller that can die, and what outlives it. Made by [New].
type House struct {
	Options
	Cloud *sim.Cloud
	Trust audit.Trust
	Site  *Site

	t        testing.TB
	log      audit.Options
	grants   note.Signer
	grantsV  note.Verifier
	provider ed25519.PrivateKey // signs identity documents
	ca       tls.Certificate

	mu     sync.Mutex
	life   *life // nil while the controller is down
	away   bool  // the issuer cannot be reached
	die    func(audit.Leaf) bool
	gasp   bool // die when the next launch has taken effect
	broken []string
	kinds  []string // of every entry seen live, house entries left out
}

// life is one run of the controller.
type life struct {
	engine *perform.Engine
	ledger *cloud.Ledger
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it ended; read after done
}

// ErrDown: the controller does not run.
var ErrDown = errors.New("the controller is down")

// New makes a house whose controller is down, and its site. Call it inside the
// bubble; call [House.Close] before the bubble ends.
func New(t testing.TB, o Options) *House {
	t.Helper()
	h := &House{Options: o, t: t}
	if h.Boot <= 0 {
		h.Boot = 30 * time.Second
	}
	if h.Job <= 0 {
		h.Job = 5 * time.Minute
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	h.provider = priv
	h.Cloud = sim.New(sim.Options{Offerings: o.Offerings, Boot: h.Boot, DeleteDelay: 5 * time.Second, Key: priv,
		Bucket: o.Bucket})
	h.keys()
	return h
}

// keys makes the keys of log, witness, grants and CA.
func (h *House) keys() {
	dir := h.t.TempDir()
	skey, vkey, err := audit.GenerateLogKey(Origin)
	h.must(err)
	signer, err := note.NewSigner(skey)
	h.must(err)
	logKey, err := note.NewVerifier(vkey)
	h.must(err)
	wskey, wvkey, err := audit.GenerateWitnessKey(Domain + "/" + Place)
	h.must(err)
	wsigner, err := audit.NewWitnessSigner(wskey)
	h.must(err)
	wverifier, err := audit.CosignatureVerifier(wvkey)
	h.must(err)
	h.Trust, err = audit.NewTrust(1, vkey, wvkey)
	h.must(err)
	h.log = audit.Options{Dir: filepath.Join(cmp.Or(h.Dir, dir), "log"), Reserve: 512 << 10,
		Origin: Origin, Signer: signer,
		Witnesses: []note.Verifier{wverifier}, Quorum: 1, OnFatal: func(error) {}}
	h.must(audit.Create(h.log))
	gskey, gvkey, err := note.GenerateKey(rand.Reader, Domain+"/grants")
	h.must(err)
	h.grants, err = note.NewSigner(gskey)
	h.must(err)
	h.grantsV, err = note.NewVerifier(gvkey)
	h.must(err)
	certPEM, keyPEM, err := issuer.NewCA(time.Now(), Domain)
	h.must(err)
	h.ca, err = tls.X509KeyPair(certPEM, keyPEM)
	h.must(err)
	w, err := audit.OpenWitness(filepath.Join(dir, "witness"), wsigner, logKey)
	h.must(err)
	h.Site = &Site{house: h, witness: w, lost: map[string][]pending{}, Sent: map[string]int64{}}
}

func (h *House) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// LogDir is the public tree of the log.
func (h *House) LogDir() string { return h.log.Dir }

// Engine is the controller's engine, or [ErrDown].
func (h *House) Engine() (*perform.Engine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life == nil {
		return nil, ErrDown
	}
	return h.life.engine, nil
}

// Money is what the ledger of the present life holds reserved and spent; the
// zero amounts while the controller is down.
func (h *House) Money() (reserved, spent policy.Money) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life == nil {
		return policy.Money{}, policy.Money{}
	}
	return h.life.ledger.Totals()
}

// SetIssuerAway makes every call to the issuer fail, or not any more.
func (h *House) SetIssuerAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// DieAt ends the controller as soon as an entry for which at is true is
// durable: what follows from it in that process never happens.
func (h *House) DieAt(at func(audit.Leaf) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.die = at
}

// DieOnLaunch ends the controller when the next launch has taken effect and
// before it learns so.
func (h *House) DieOnLaunch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gasp = true
}

// InMemory puts temporary directories in memory where the machine has such a
// place and nobody chose another. Call it in TestMain: thousands of synced
// entries are then a matter of seconds. What a sync does is residency/audit's
// to test.
func InMemory() {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		if f, err := os.CreateTemp(shm, "cast-*"); err == nil && errors.Join(f.Close(), os.Remove(f.Name())) == nil {
			_ = os.Setenv("TMPDIR", shm)
		}
	}
}
