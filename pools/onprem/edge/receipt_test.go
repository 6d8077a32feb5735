package edge_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

func TestAReceiptOpensOnlyWhatThisSiteAgreesTo(t *testing.T) {
	w := newWorld(t, nil)
	gskey, _, err := note.GenerateKey(rand.Reader, domain+"/grants")
	must(t, err)
	stranger, err := note.NewSigner(gskey)
	must(t, err)
	hour := func(n int) time.Time { return time.Now().UTC().Truncate(time.Second).Add(time.Duration(n) * time.Hour) }
	for id, tt := range map[string]struct {
		change func(*spec)
		code   string
		why    string // what the edge's log says of it
	}{
		"another-site":        {func(s *spec) { s.Site = "oslo" }, "grant", "another site"},
		"another-node":        {func(s *spec) { s.Key = cast.Key(t) }, "peer", "another node"},
		"another-name":        {func(s *spec) { s.Named = "someone-else" }, "peer", "another node"},
		"expired":             {func(s *spec) { s.NotBefore, s.Expires = hour(-2), hour(-1) }, "grant", "not valid now"},
		"not-yet":             {func(s *spec) { s.NotBefore, s.Expires = hour(1), hour(2) }, "grant", "not valid now"},
		"sealed-by-another":   {func(s *spec) { s.Sealer = stranger }, "grant", ""},
		"not-a-grant":         {func(s *spec) { s.EnteredAs = "proven" }, "receipt", "grants nothing"},
		"another-claims":      {func(s *spec) { s.EnteredFor = "c-other" }, "grant", "the grant of another"},
		"other-data":          {func(s *spec) { s.SliceDigest = w.edge.Held()[raw] }, "slice", "not what is held"},
		"data-never-held":     {func(s *spec) { s.SliceDigest = cast.Digest("nothing") }, "slice", "not what is held"},
		"a-slice-nobody-has":  {func(s *spec) { s.Slice = "claims/2031" }, "slice", "does not hold claims/2031"},
		"data-as-the-program": {func(s *spec) { s.Payload = w.edge.Held()[raw] }, "payload", "is a slice"},
		"already-ended":       {func(s *spec) { s.Order = tunnel.OrderExit }, "ended", "said to end"},
		"already-probed":      {func(s *spec) { s.Order = tunnel.OrderProbe }, "ended", "said to end"},
		"not-begun":           {func(s *spec) { s.Order = tunnel.OrderWait }, "ended", "said to end"},
	} {
		t.Run(id, func(t *testing.T) {
			n := w.honest(id, tt.change)
			if tt.code == "ended" && n.spec.Order != tunnel.OrderWait {
				w.line("peer refused", tt.why) // and hung up on: the node need not hear of it
			} else {
				n.noByte(t, tt.code)
			}
			w.line("peer refused", "grant="+n.spec.Named, tt.why)
		})
	}
	n := w.honest("the-honest-one", nil)
	n.reads(0, 1)
	w.line("receipt accepted", "grant=the-honest-one")
}

func TestTheSitesOwnRulesStandAboveTheControllers(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	w.edge.SetRules(rulesOf(t, permitAll+forbidAll))
	// At most the window that is open is used up: 4 MiB hold the manifest and three chunks.
	for i := 1; n.chunk(i, time.Second) == nil; i++ {
		if i == 3 {
			t.Fatal("a second window was opened")
		}
	}
	if opened, _ := w.books("g-1"); len(opened) != 1 {
		t.Errorf("%d windows were entered", len(opened))
	}
	w.honest("g-2", nil).noByte(t, "rules")
	w.line("peer refused", "grant=g-2", "site rules", "nothing leaves")
}

func TestTheSitesOwnDaysStandAboveTheControllers(t *testing.T) {
	closed := func(embargo, retention string) *residency.Catalogue {
		c, err := residency.NewCatalogue([]residency.Dataset{{ID: "claims", Title: "Claims", Owner: "claims department",
			Class: residency.Personal, Origin: "DE", Basis: "contract", Purposes: []string{"model-training"}, Embargo: embargo,
			Retention: retention, Slices: []residency.SliceSpec{{Name: pseudo, Pseudonymised: true, Dir: "pseudo"}}}})
		must(t, err)
		return c
	}
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	for id, tt := range map[string]struct{ embargo, retention, why string }{
		"ended":     {"", day(-2), "retention; contract"},
		"not-begun": {day(2), "", "embargo; contract"},
	} {
		t.Run(id, func(t *testing.T) {
			var controllers *residency.Catalogue
			w := newWorld(t, func(w *world) {
				controllers, w.conf.Catalogue = w.conf.Catalogue, closed(tt.embargo, tt.retention)
			})
			w.conf.Catalogue = controllers
			w.honest("g-1", nil).noByte(t, "rules")
			w.line("peer refused", "site rules", tt.why)
		})
	}
}

func TestARevokedSerialIsRefusedWhateverTheOrder(t *testing.T) {
	w := newWorld(t, nil)
	s := w.spec("g-1")
	n := w.node(s, []byte("no receipt yet"))
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Revoked = []string{"00ff", n.serial} })
	n.SetReceipt(w.receipt(s))
	w.line("peer refused", "revoked")
	if opened, _ := w.books("g-1"); len(opened) > 0 {
		t.Errorf("%d windows were entered", len(opened))
	}
}

func TestWithoutAReceiptNoByteIsServed(t *testing.T) {
	w := newWorld(t, nil)
	good := w.receipt(w.spec("g-other"))
	bent := append([]byte(nil), good...)
	bent[len(bent)/2] ^= 1
	for id, r := range map[string][]byte{"words": []byte("let me in"), "bent": bent, "cut": good[:len(good)-2],
		"log-alone": w.fork(t, "log-alone", false), "strange-witness": w.fork(t, "strange-witness", true)} {
		t.Run(id, func(t *testing.T) {
			w.node(w.spec(id), r).noByte(t, "receipt")
			w.line("peer refused", "grant="+id, "open receipt")
			w.turnedAway(t, id, "receipt")
		})
	}
	t.Run("of another grant", func(t *testing.T) {
		w.node(w.spec("g-1"), good).noByte(t, "peer")
	})
}

// turnedAway waits until the log says that a grant's peer was turned away.
func (w *world) turnedAway(t *testing.T, grant, reason string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for leaf, err := range audit.Read(t.Context(), os.DirFS(w.logOptions.Dir)) {
			var b burst.Turned
			if err != nil || leaf.Entry.Kind != b.Kind() {
				continue
			}
			must(t, audit.DecodeStrict(leaf.Entry.Body, &b))
			if b.Grant == grant && b.Reason == reason && b.Serial != "" && b.Why != "" {
				return
			}
		}
	}
	t.Errorf("the log does not say that the peer of %s was turned away for its %s", grant, reason)
}

// fork writes another history under the log's own key, and proves a grant from
// it: cosigned by nobody, or by a witness that the site's trust does not name.
func (w *world) fork(t *testing.T, id string, cosigned bool) []byte {
	t.Helper()
	o := w.logOptions
	o.Dir, o.Witnesses, o.Quorum = filepath.Join(t.TempDir(), "log"), nil, 0
	skey, vkey, err := audit.GenerateWitnessKey(domain + "/edge/" + site)
	must(t, err)
	verifier, err := audit.CosignatureVerifier(vkey)
	must(t, err)
	if cosigned {
		o.Witnesses, o.Quorum = []note.Verifier{verifier}, 1
	}
	must(t, audit.Create(o))
	log, err := audit.Open(t.Context(), o)
	must(t, err)
	defer log.Close()
	index := w.enterGrant(&controller{log: log}, w.spec(id))
	if cosigned {
		signer, err := audit.NewWitnessSigner(skey)
		must(t, err)
		stranger, err := audit.OpenWitness(filepath.Join(t.TempDir(), "stranger"), signer, w.logKey)
		must(t, err)
		b, err := stranger.Cosign(time.Now(), log.Checkpoint(), 0, nil)
		must(t, err)
		must(t, log.AddCosignature(b))
	}
	r, err := log.Receipt(t.Context(), index)
	must(t, err)
	return r
}

// A receipt that the witness's own key has signed, but of entries this edge has
// not seen: its memory was lost, or someone else has the key.
func TestAReceiptOfATreeTheWitnessHasNotSeenIsRefused(t *testing.T) {
	blind := func(ctx context.Context, _ int64) (tunnel.Extension, error) {
		<-ctx.Done()
		return tunnel.Extension{}, context.Cause(ctx)
	}
	w := newWorld(t, func(w *world) {
		w.ctl.extend = blind
		w.ctl.before = func(tunnel.Entering) error { return errors.New("nor by an entry of its own") }
	})
	s := w.spec("g-1")
	index := w.enterGrant(w.ctl, s)
	x, err := extension(t.Context(), w.ctl.log, 0)
	must(t, err)
	cosigned, err := w.twin.Cosign(time.Now(), x.Checkpoint, 0, nil)
	must(t, err)
	must(t, w.ctl.Cosign(cosigned))
	receipt, err := w.ctl.log.Receipt(t.Context(), index)
	must(t, err)
	n := w.node(s, receipt)
	n.noByte(t, "receipt")
	w.line("peer refused", "witness has seen 0")
	w.ctl.set(func(c *controller) { c.extend, c.before = nil, nil })
	w.until("the witness sees the log", func() bool { return w.conf.Witness.Size() > index })
	n.reads(0, 1)
}

func TestAnEdgeWithoutAPlaceForResultsDoesNotStart(t *testing.T) {
	w := newWorld(t, nil)
	conf := w.conf
	conf.Quarantine = filepath.Join(w.logOptions.Dir, "checkpoint") // a file
	if _, err := edge.New(conf); err == nil {
		t.Error("it starts")
	}
}
