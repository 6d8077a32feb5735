package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

func TestTheExamplesAreReadAsTheyAre(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.ReadController("controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(here, "keys/controller/places.vkey")
	if c.State != filepath.Join(here, "state") || c.Places.Keys[0] != key {
		t.Errorf("paths do not start at the file: %q, %q", c.State, c.Places.Keys)
	}
	if c.Budgets["actuarial"].Total != (policy.Money{Micros: 25e6, Currency: "USD"}) ||
		c.OIDC != nil || c.Issuer.Vault.Mount != "" {
		t.Errorf("got %+v", c)
	}
	e, err := configs.ReadEdge("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if e.Threshold.For != 10*time.Minute || e.Sampler.Kind != "nvml" || e.Window != 16<<20 || e.Sampler.Library != "" {
		t.Errorf("got %+v", e)
	}
	j, err := configs.ReadJob("job.yaml")
	if err != nil || j.Check() != nil {
		t.Fatal(err, j.Check())
	}
	ds, err := configs.ReadCatalogue("catalogue.yaml")
	if err != nil || len(ds) != 2 {
		t.Fatalf("%d datasets: %v", len(ds), err)
	}
	s := ds[0].Slices[1]
	if s.Class != residency.Personal || !s.Pseudonymised || s.KAnonymity.K != 5 || s.KAnonymity.SmallGroups != "refuse" ||
		len(s.Columns.Drop) != 2 || ds[0].Source(s).Dir != "claims/2025-q3" || !ds[0].Table.Columns[0].Identifies {
		t.Errorf("got %+v", s)
	}
}

// The examples write every default out, so taking those lines away must change
// nothing.
func TestTheDefaultsAreWhatTheExamplesSay(t *testing.T) {
	full, err := configs.ReadController("controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := example(t, "controller.yaml")
	cut := text[:strings.Index(text, "\nlease:")]
	cut = strings.ReplaceAll(strings.ReplaceAll(cut, "\n  ttl: 5m", ""), "\n    namespaces: auto", "")
	short, err := configs.ReadController(write(t, cut))
	if err != nil {
		t.Fatal(err)
	}
	if short.Lease != full.Lease || short.Evidence != full.Evidence || short.Heartbeat != full.Heartbeat ||
		short.Issuer != full.Issuer || short.Providers[0].Namespaces != full.Providers[0].Namespaces {
		t.Errorf("defaults differ from the example:\n%+v\n%+v", short, full)
	}
	edge, err := configs.ReadEdge("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = example(t, "edge.yaml")
	for _, line := range []string{"  every: 1s", "  speed: 1 ", "  jobs_waiting: 1", "  waited_for: 5m", "  release: 60",
		"  cool_down: 5m", "  stale_after: 15s", "window: 16777216", "announce: 15s"} {
		before, after, ok := strings.Cut(text, "\n"+line)
		if !ok {
			t.Fatalf("the example has no line %q", line)
		}
		_, after, _ = strings.Cut(after, "\n")
		text = before + "\n" + after
	}
	short2, err := configs.ReadEdge(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if short2.Sampler != edge.Sampler || short2.Threshold != edge.Threshold ||
		short2.Window != edge.Window || short2.Announce != edge.Announce {
		t.Errorf("defaults differ from the example:\n%+v\n%+v", short2, edge)
	}
}

func TestEveryExampleNamesItsSchema(t *testing.T) {
	for _, kind := range []string{"controller", "edge", "job", "catalogue"} {
		first, _, _ := strings.Cut(example(t, kind+".yaml"), "\n")
		if first != "# yaml-language-server: $schema=schema/"+kind+".schema.json" {
			t.Errorf("%s.yaml begins with %q", kind, first)
		}
	}
}

// Each row changes the controller's example in one place.
func TestEachMistakeIsNamedWithItsPlaceAndItsRemedy(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		where          string // line:col within what is new, from the changed line on
		what           string
		fix            string
	}{
		{"a key with a letter missing", "listen: 127",
			"lisen: 127", "1:1", `unknown key "lisen"`, `did you mean "listen"?`},
		{"a key in another case", "heartbeat: 30s",
			"Heartbeat: 30s", "1:1", `unknown key "Heartbeat"`, `did you mean "heartbeat"?`},
		{"a key twice", "state: state", "state: state\nstate: other", "2:1",
			"it is given twice; the first is on line", "keep one"},
		{"a key twice in two cases", "state: state",
			"state: state\nSTATE: other", "2:1", `differs from "state"`, "keep one"},
		{"a nested unknown key", "  quorum: 1",
			"  quorum: 1\n  quorm: 2", "2:3", `unknown key "quorm"`, `did you mean "quorum"?`},
		{"a bad duration", "boot: 5m",
			"boot: 5 minutes", "1:9", `key lease.boot: "5 minutes" is not a duration`, "as in 30s, 5m"},
		{"a duration without a unit", "boot: 5m", "boot: 300", "1:9", "it is a number, not text", "as in 30s, 5m"},
		{"a certificate that lives too long", "ttl: 5m", "ttl: 16m", "1:8",
			"it is longer than 15m", "15m or shorter"},
		{"a heartbeat too slow", "heartbeat: 30s", "heartbeat: 61s", "1:12",
			"it is longer than 60s", "60s or shorter"},
		{"money without a currency", "25.00 USD", "25.00", "1:14", "it is a number, not text", "12.50 USD"},
		{"money below zero", "25.00 USD", "-1.00 USD", "1:14", "is not an amount above zero", "12.50 USD"},
		{"two currencies", "100.00 USD", "100.00 EUR", "1:12", "it is in EUR and the first in USD", "one currency"},
		{"a budget for no period", "    total: 100.00 USD\n    month: 40.00 USD\n    day: 10.00 USD\n    burst",
			"    burst", "1:5", "it bounds no period", "add total, month or day"},
		{"a period that is none", "    month: 40", "    week: 40", "1:5", `unknown key "week"`, "known here: burst, day"},
		{"a queue with a price", "night: {day: 20.00 USD}", "night: {max_price: 2.00 USD}", "", "a queue has no max_price",
			"to the job"},
		{"an alert past the whole", "[50, 80, 100]", "[50, 120]", "1:16", "120 is more than 100", "commented example"},
		{"a place that is none", "aws/us-east-1,",
			"us-east-1,", "1:14", `key providers[0].places[0]: "us-east-1" is not a provider`, "as in aws/eu"},
		{"azure without its section", "  - kind: local\n    dir: nodes\n    places: [aws/us-east-1, aws/eu-central-1, " +
			"azure/germanywestcentral]", "  - kind: azure", "", "missing key providers[0].azure", "add \"azure: …\""},
		{"a static key", "  - kind: local\n    dir: nodes\n    places: [aws/us-east-1, aws/eu-central-1, " +
			"azure/germanywestcentral]", "  - kind: aws\n    aws:\n      account: \"123456789012\"\n      regions: " +
			"{eu-central-1: {image: ami-1, subnets: [subnet-1], security_groups: [sg-1]}}\n" +
			"      access_key_id: AKIDEXAMPLE", "", `unknown key "access_key_id"`, "known here: absence, account"},
		{"a section of another kind", "    capacity: 2 ", "    azure: {subscription: " +
			"11111111-2222-3333-4444-555555555555, resource_group: g, image: i, subnets: {westeurope: " +
			"/subscriptions/s/subnets/n}}\n    capacity: 2 ", "", "it says nothing for kind local", "remove it"},
		{"a kind that is none", "  kind: embedded",
			"  kind: valt", "1:9", `key issuer.kind: "valt" is none of its values`, `did you mean "vault"?`},
		{"vault without its section", "  kind: embedded", "  kind: vault", "",
			"missing key issuer.vault", "add \"vault: …\""},
		{"a value left out", "origin: claims.example/log", "origin:", "1:1",
			"key origin: it has no value", "name of the log"},
		{"a key left out", "origin: claims.example/log", "", "",
			"missing key origin", "add \"origin: …\": the name of the log"},
		{"plain NATS", "tls://127", "nats://127", "1:8", "it is not tls:// and a host", "as in tls://"},
		{"a password in a URL", "tls://127", "tls://user:hunter2@127", "1:8",
			"it holds a user or a password", "as in tls://"},
		{"more witnesses than sites", "quorum: 1", "quorum: 2", "1:11",
			"it asks for 2 witnesses and sites has 1", "at most one a site"},
		{"more signatures than keys", "  keys: [keys/controller/places.vkey]",
			"  keys: [keys/controller/places.vkey]\n  threshold: 2", "2:14",
			"it asks for 2 signatures and places.keys has 1", "at most one a key"},
		{"a test signer that is nowhere", "  allow_test_trust: false", "  allow_test_trust: true", "1:21",
			"it says nothing without attestation.test", "name that directory"},
		{"roots without what is below them", "  azure_intermediates: attestation/azure/intermediates", "", "",
			"it says nothing without attestation.azure_intermediates", "name that directory"},
		{"octal", "quorum: 1", "quorum: 01", "1:11", "it is not a plain decimal number", "digits only"},
		{"an anchor", "state: state", "state: &x state", "1:8", "anchors, aliases, tags", "write the value out"},
		{"a tag", "state: state", "state: !!str state", "1:8", "anchors, aliases, tags", "write the value out"},
		{"a merge key", "evidence:\n", "evidence:\n  <<: {within: 1m}\n", "2:3",
			"a key must be a plain word", "as a word"},
		{"a second document", "state: state", "state: state\n---\nstate: state", "",
			"the file holds 2 documents", "exactly one"},
		{"bad indentation", "  ttl: 5m", "   ttl: 5m", "", "read YAML", "check indentation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := example(t, "controller.yaml")
			before, after, ok := strings.Cut(text, tt.old)
			if !ok {
				t.Fatalf("the example has no %q", tt.old)
			}
			path := write(t, before+tt.new+after)
			_, err := configs.ReadController(path)
			all, ok := errors.AsType[*configs.Errors](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			m := all.Mistakes[0]
			got := m.What + ": " + m.Why
			if len(all.Mistakes) != 1 || !strings.Contains(got, tt.what) || !strings.Contains(m.Fix, tt.fix) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message repeats a password: %v", err)
			}
			if tt.where != "" {
				line := strings.Count(before, "\n") + int(tt.where[0]-'0')
				if m.Line != line || m.Source == "" || !strings.HasPrefix(tt.where[2:], strconv.Itoa(m.Col)) {
					t.Errorf("at %d:%d, want %s from line %d", m.Line, m.Col, tt.where, strings.Count(before, "\n"))
				}
			}
		})
	}
}

func TestEveryMistakeIsReportedAtOnceAndInOrder(t *testing.T) {
	text := example(t, "controller.yaml")
	for old, new := range map[string]string{"listen: 127.0.0.1:8443\n": "lisen: 127.0.0.1:8443\n",
		"boot: 5m":     "boot: soon",
		"state: state": "state: state\nstate: twice",
		"quorum: 1":    "quorum: none", "25.00 USD": "25 dollars"} {
		text = strings.Replace(text, old, new, 1)
	}
	path := write(t, text)
	_, err := configs.ReadController(path)
	all, ok := errors.AsType[*configs.Errors](err)
	if !ok || len(all.Mistakes) != 5 {
		t.Fatalf("got %v", err)
	}
	for i, m := range all.Mistakes {
		if i > 0 && m.Line < all.Mistakes[i-1].Line {
			t.Errorf("line %d comes after line %d", m.Line, all.Mistakes[i-1].Line)
		}
		if !strings.Contains(err.Error(), path+":"+strconv.Itoa(m.Line)+":"+strconv.Itoa(m.Col)+": ") || m.Fix == "" {
			t.Errorf("%+v is not in the message", m)
		}
	}
}

func TestAnUnknownKeysValueIsNotRepeated(t *testing.T) {
	for _, line := range []string{"secret_id: hvs.CANARY", "vault: {secret: CANARY}",
		"tls: {cert: a, key: b, ca: c, password: CANARY}",
		"xy: {token: CANARY, a: &x 1}", "wx: &y {my-secret: 'CANARY'}", "nats: {url: 'tls://me:CANARY@host:1', creds: &z a}",
		"unknown:\n  secret_key: CANARY\n  b: *c"} {
		_, err := configs.ReadEdge(write(t, example(t, "edge.yaml")+"\n"+line+"\n"))
		if err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestAFileThatIsNoneIsOneError(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "a comment": "# nothing\n", "a word": "hello",
		"a list": "- a\n- b\n", "a tab": "\tlisten: x\n",
		"not UTF-8": "listen: \xff\n", "too large": "# " + strings.Repeat("x", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			if c, err := configs.ReadController(write(t, text)); err == nil || c.Listen != "" {
				t.Errorf("read %+v", c)
			}
		})
	}
	if _, err := configs.ReadJob(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestACatalogueIsCheckedAsAWhole(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"a slice of another dataset", "name: claims/2025-q3\n", "name: other/2025-q3\n", "is not claims/"},
		{"a predicate over no column", "rows: stay_days", "rows: stay_hours",
			":72:15: rows of claims/2025-q3-pseudonymised: "},
		{"a predicate of other types", ">= 0 &&", "+ 0 &&", "expected type 'bool' but found"},
		{"a predicate over lines", "rows: stay_days", "rows: |\n          true &&\n          stay_dasy",
			":74:11: rows of"},
		{"a column that is none", "drop: [born,", "drop: [birth,", "column \"birth\" is not in the table"},
		{"a name that is left", "pseudonymise: [member]", "pseudonymise: []", "column \"member\" names a person"},
		{"a k of one", "k: 5", "k: 1", "k_anonymity"},
		{"a version that is none", "version: 2025-q3\n        # With", "version: 2025-q4\n        # With", "is none of the"},
		{"a subject that is none", "subject: member", "subject: person", "subject \"person\" is no column"},
		{"a type that is none", "name: region, type: text", "name: region, type: string", "is none of its values"},
		{"a slice twice", "name: claims/2025-q3-pseudonymised", "name: claims/2025-q3", "it is listed twice"},
		{"a directory outside", "dir: claims/2025-q3 ", "dir: ../secrets ", "does not stay inside"},
		{"an absolute directory", "dir: claims/2025-q3 ", "dir: /etc ", "does not stay inside"},
		{"a class that is none", "class: special", "class: secret", "is none of its values"},
		{"a looser slice that still names people", "pseudonymised: true ",
			"pseudonymised: false ", "not pseudonymised"},
		{"a country that is none", "origin: DE", "origin: Germany", "is not of the form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(example(t, "catalogue.yaml"), tt.old, tt.new, 1)
			if ds, err := configs.ReadCatalogue(write(t, text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("read %d datasets: %v", len(ds), err)
			}
		})
	}
}

func FuzzAReaderNeverPanics(f *testing.F) {
	for _, name := range []string{"job.yaml", "catalogue.yaml", "edge.yaml"} {
		var bare []string // without its comments, a seed is small enough to be minimised
		for line := range strings.Lines(example(f, name)) {
			if text, _, _ := strings.Cut(line, "#"); strings.TrimSpace(text) != "" {
				bare = append(bare, strings.TrimRight(text, " \n"))
			}
		}
		f.Add([]byte(strings.Join(bare, "\n")))
	}
	f.Add([]byte("name: [1, {a: b}, &x *x]\n? y\n: !!binary z\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := write(t, string(b))
		if j, err := configs.ReadJob(path); err == nil && j.Check() != nil {
			t.Errorf("a job was read that lacks something: %v", j.Check())
		}
		_, _ = configs.ReadEdge(path)
		_, _ = configs.ReadCatalogue(path)
	})
}

func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
