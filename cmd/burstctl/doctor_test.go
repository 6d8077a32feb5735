package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/doctor"
)

func TestDoctorNamesWhatIsBrokenAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newAiling(t)
	for _, program := range []string{"burstctl", "edge-connector"} {
		for _, f := range h.asks(t, program) {
			if f.Standing != doctor.OK && f.Check != "gpus" { // a recorded day is warned of
				t.Errorf("%s, of a house that is well: %+v", program, f)
			}
		}
	}
	for _, a := range append(ailments(t), siteAilments(t)...) {
		t.Run(a.program+" and "+a.name, func(t *testing.T) {
			defer h.mend(t)
			a.breaks(t, h)
			began := time.Now()
			found := h.asks(t, a.program)
			if d := time.Since(began); d > patient {
				t.Errorf("it took %v", d)
			}
			i := slices.IndexFunc(found, func(f doctor.Finding) bool {
				return f.Check == a.check && string(f.Standing) == a.standing && strings.Contains(f.What+" "+f.Fix, a.said)
			})
			if i < 0 {
				t.Errorf("want %s to %s with %q, found %+v", a.check, a.standing, a.said, found)
			}
			for _, f := range found {
				if f.Standing == doctor.Fail && f.Check != a.check {
					t.Errorf("a second cause: %+v", f)
				}
				if a.check == "config" && f.Check != "config" && f.Standing != doctor.NotAsked {
					t.Errorf("asked without a config: %+v", f)
				}
			}
		})
	}
}

// ailments are what may be broken in a house, each with the check that says so.
func ailments(t *testing.T) []ailment {
	const controller, edge = "spiffe://demo.burst.test/controller/controller", "spiffe://demo.burst.test/edge/hq"
	sealed := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"errors":["Vault is sealed"]}`))
	}
	refuses := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":["invalid role or secret ID"]}`))
	}
	const b = "burstctl"
	return []ailment{
		{b, "a key nobody knows", edits("controller.yaml", "heartbeat:", "hartbeat:"), "config", "fail", "did you mean"},
		{b, "no config", loses("controller.yaml"), "config", "fail", "no such file"},
		{b, "a key that others may read", chmods("keys/controller/log.key", 0o644), "keys", "fail", "others may read it"},
		{b, "a key that is gone", loses("keys/controller/grants.key"), "keys", "fail", "no such file"},
		{b, "a key that is none",
			writes("keys/controller/log.key", "PRIVATE+KEY+CANARY", 0o600), "keys", "fail", "not a note"},
		{b, "halves of two keys",
			swaps("keys/controller/grants.vkey", "keys/controller/log.vkey"), "keys", "fail", "public half"},
		{b, "credentials that others may read",
			chmods("keys/nats/creds/controller.creds", 0o640), "keys", "fail", "NATS cred"},
		{b, "a certificate that ran out", ends("controller", controller, -time.Hour), "certificates", "fail", "ran out on"},
		{b, "a certificate that will", ends("controller", controller, 72*time.Hour), "certificates", "warn", "runs out on"},
		{b, "another's certificate", ends("controller", edge, 9000*time.Hour), "certificates", "fail", "want spiffe://"},
		{b, "another house's CA",
			swaps("keys/controller/grants-ca.pem", "keys/controller/ca.pem"), "certificates", "fail", "verify"},
		{b, "half a grants CA",
			swaps("keys/controller/tls.key", "keys/controller/grants-ca.key"), "certificates", "fail", "grants-ca"},
		{b, "a witness that is none", writes("keys/controller/witness-hq.vkey", "x", 0o644), "sites", "fail", "site hq"},
		{b, "an edge's key that is none", writes("keys/controller/edge-hq.pub", "x", 0o644), "sites", "fail", "site hq"},
		{b, "a rule that does not parse",
			edits("rules/10-never.cedar", "\nunless {", "\nunles {"), "rules", "fail", "10-never.cedar:"},
		{b, "a rule about nobody", edits("rules/10-never.cedar", "\"EEA\"", "\"EAA\""), "rules fit", "warn", "EAA"},
		{b, "a table that nobody signed", edits("places.note", "version,dated\n1", "version,dated\n2"), "places", "fail", ""},
		{b, "a catalogue that is none",
			writes("catalogue.yaml", "datasets: 7\n", 0o644), "catalogue", "fail", "catalogue.yaml:"},
		{b, "roles that are none", writes("roles.cedar", "permit (", 0o644), "roles", "fail", "roles.cedar:"},
		{b, "offers that are none", writes("offers.csv", "a,b\n1,2\n", 0o644), "offers", "fail", "offers.csv"},
		{b, "certificates of Azure that ran out",
			attests("azure_roots: old/roots, azure_intermediates: old/between"), "attestation", "warn", "(until 20"},
		{b, "an empty set of AWS", attests("aws: old/none"), "attestation", "fail", "rsa2048"},
		{b, "an empty set of Azure",
			attests("azure_roots: old/none, azure_intermediates: old/none"), "attestation", "fail", "there are none"},
		{b, "a log that was changed", copies(flips), "log", "fail", ""},
		{b, "a log that nobody has cosigned", copies(strips), "log", "warn", "0 of 1 witnesses"},
		{b, "a clock that is behind", copies(cosigns), "clock", "fail", "newest cosignature"},
		{b, "a bus that is away", buses("127.0.0.1:1"), "nats", "fail", "NATS at"},
		{b, "a bus that says nothing", buses(silent(t)), "nats", "fail", "NATS at"},
		{b, "credentials that are none", writes("keys/nats/creds/controller.creds", "CANARY", 0o600), "nats", "fail", ""},
		{b, "a Vault that is sealed", vaults(sealed), "issuer", "fail", "sealed"},
		{b, "a Vault that refuses", vaults(refuses), "issuer", "fail", ""},
		{b, "a Vault that says nothing", vaultAt("http://" + silent(t)), "issuer", "fail", ""},
	}
}

// siteAilments are what may be broken on a site.
func siteAilments(t *testing.T) []ailment {
	const controller, edge, e = "spiffe://demo.burst.test/controller/controller", "spiffe://demo.burst.test/edge/hq",
		"edge-connector"
	return []ailment{
		{e, "a key nobody knows", edits("edge.yaml", "\nwindow:", "\nwindw:"), "config", "fail", "did you mean"},
		{e, "a witness key that others may read", chmods("keys/edge-hq/witness.key", 0o604), "keys", "fail", "others may"},
		{e, "a request key that is none", swaps("keys/edge-hq/tls.key", "keys/edge-hq/edge.key"), "keys", "fail", "Ed25519"},
		{e, "a grants key that is none", writes("keys/edge-hq/grants.vkey", "x", 0o644), "keys", "fail", "grants.vkey"},
		{e, "a certificate that ran out", ends("edge-hq", edge, -time.Hour), "certificates", "fail", "ran out on"},
		{e, "another's certificate", ends("edge-hq", controller, 9000*time.Hour), "certificates", "fail", "want spiffe://"},
		{e, "a grants CA that is none",
			writes("keys/edge-hq/grants-ca.pem", "x", 0o644), "certificates", "fail", "grants CA"},
		{e, "a trust file that is none",
			writes("keys/edge-hq/trust.txt", "logg x\n", 0o644), "trust", "fail", "trust.txt:1:1"},
		{e, "trust in another log",
			swaps("keys/edge-hq/grants.vkey", "keys/edge-hq/log.vkey"), "trust", "fail", "does not name"},
		{e, "another's memory", swaps("keys/office/places.key", "keys/edge-hq/witness.key"), "witness", "fail", ""},
		{e, "a rule that does not parse",
			edits("rules/10-never.cedar", "\nunless {", "\nunles {"), "rules", "fail", "10-never"},
		{e, "a table that nobody signed", edits("places.note", "version,dated\n1", "version,dated\n2"), "places", "fail", ""},
		{e, "a catalogue that is none",
			writes("catalogue.yaml", "datasets: 7\n", 0o644), "catalogue", "fail", "catalogue.yaml:"},
		{e, "no key of codes", loses("keys/edge-hq/pseudonym.key"), "pseudonyms", "fail", "no such file"},
		{e, "a slice that was changed", touches("slices/built/*/data/*"), "slices", "fail", ""},
		{e, "a slice that is not made", touches("slices/current/*"), "slices", "fail", ""},
		{e, "no data", edits("edge.yaml", "\ndata: data", "\ndata: none"), "slices", "fail", "read data"},
		{e, "a quarantine that is none",
			edits("edge.yaml", "quarantine: quarantine", "quarantine: places.note"), "quarantine", "fail", ""},
		{e, "no library", samples("{kind: nvml, library: ./none.so, every: 1s}"), "gpus", "fail", "cannot be opened"},
		{e, "no recorded day",
			samples("{kind: replay, trace: none.csv, every: 100ms, speed: 120}"), "gpus", "fail", "none.csv"},
		{e, "a bus that says nothing", buses(silent(t)), "nats", "fail", "NATS at"},
		{e, "a controller that says nothing", calls(silent(t)), "controller", "fail", ""},
		{e, "a controller that is away", calls("127.0.0.1:1"), "controller", "fail", "refused"},
	}
}

// ailment is one broken piece.
type ailment struct {
	program, name   string
	breaks          func(*testing.T, ailing)
	check, standing string
	said            string
}
