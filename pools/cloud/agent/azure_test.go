package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/azure"
	"github.com/burstctl/burstctl/residency/attest/forge"
)

// imds is a small metadata service of ours, written from Azure's documentation;
// its documents are by the test signer. Azure's own is nowhere to be had.
func imds(t *testing.T, signer *forge.Signer, vmID string, events func() string) (base string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.Header.Get("Metadata") != "true" || r.Header.Get("X-Forwarded-For") != "" || q.Get("api-version") == "":
			http.Error(w, `{"error":"Bad request. Required metadata header not specified"}`, http.StatusBadRequest)
		case r.URL.Path == "/metadata/attested/document":
			e, err := signer.Azure("germanywestcentral", "11111111-2222-3333-4444-555555555555", vmID, q.Get("nonce"),
				time.Now().Add(-time.Minute))
			if err != nil {
				t.Error(err)
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"encoding": "pkcs7", "signature": string(e.Document)})
		case r.URL.Path == "/metadata/scheduledevents":
			fmt.Fprint(w, events())
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAzureEvidenceRepeatsTheNonceAndProvesTheMachineThatTheDriverMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const vmID, nonce = "66666666-7777-8888-9999-aaaaaaaaaaaa", "N7K2QYXT4VJHWZ3MBRCDLF5GSA"
	m, err := agent.OpenMetadata("azure", imds(t, forge.Open(dir), vmID, nil))
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Evidence(t.Context(), nonce, "sha256:key")
	if err != nil || e.Kind != agent.AzureKind || agent.AzureKind != azure.Kind || len(e.Signature) > 0 {
		t.Fatalf("evidence %+v, %v", e, err)
	}
	roots, err := azure.ReadRoots(os.DirFS(filepath.Join(dir, "azure", "roots")))
	if err != nil {
		t.Fatal(err)
	}
	between, err := azure.ReadIntermediates(os.DirFS(filepath.Join(dir, "azure", "intermediates")))
	if err != nil {
		t.Fatal(err)
	}
	v := azure.New(azure.Options{Roots: roots, Intermediates: between})
	x := residency.Expect{Instance: "burst-abc." + vmID, Nonce: nonce, At: time.Now(), NodeKey: "sha256:key"}
	if id, err := v.Verify(e, x); err != nil || id.Instance != x.Instance || id.Region != "germanywestcentral" {
		t.Errorf("the document does not verify: %+v, %v", id, err)
	}
	if _, err := m.Evidence(t.Context(), "", "sha256:key"); err == nil {
		t.Error("a document without a nonce was asked for")
	}
}

func TestAzureTakesAMachineBackByAScheduledEvent(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(30 * time.Second).UTC().Truncate(time.Second)
	event := func(kind, status string, at time.Time) string {
		when := ""
		if !at.IsZero() {
			when = at.Format(http.TimeFormat)
		}
		return fmt.Sprintf(`{"EventId":"1","EventType":%q,"ResourceType":"VirtualMachine","Resources":["burst-abc"],`+
			`"EventStatus":%q,"NotBefore":%q,"Description":"","EventSource":"Platform","DurationInSeconds":-1}`,
			kind, status, when)
	}
	for name, tt := range map[string]struct {
		events []string
		want   agent.Notice
	}{
		"none":             {nil, agent.Notice{}},
		"an eviction":      {[]string{event("Preempt", "Scheduled", soon)}, agent.Notice{Action: "terminate", At: soon}},
		"a delete":         {[]string{event("Terminate", "Scheduled", soon)}, agent.Notice{Action: "terminate", At: soon}},
		"a reboot":         {[]string{event("Reboot", "Scheduled", soon)}, agent.Notice{Action: "reboot", At: soon}},
		"a pause":          {[]string{event("Freeze", "Scheduled", soon)}, agent.Notice{}},
		"one that is over": {[]string{event("Reboot", "Completed", soon)}, agent.Notice{}},
		"the earliest of two": {
			[]string{event("Redeploy", "Scheduled", soon.Add(time.Hour)), event("Preempt", "Scheduled", soon)},
			agent.Notice{Action: "terminate", At: soon},
		},
	} {
		body := `{"DocumentIncarnation":2,"Events":[` + strings.Join(tt.events, ",") + `]}`
		n, err := agent.NewAzure(imds(t, nil, "", func() string { return body })).Notice(t.Context())
		if err != nil || n.Action != tt.want.Action || !n.At.Equal(tt.want.At) {
			t.Errorf("%s: %+v, %v; want %+v", name, n, err, tt.want)
		}
	}
	begun := `{"DocumentIncarnation":2,"Events":[` + event("Preempt", "Started", time.Time{}) + `]}`
	n, err := agent.NewAzure(imds(t, nil, "", func() string { return begun })).Notice(t.Context())
	if err != nil || n.Action != "terminate" || time.Since(n.At) > time.Minute {
		t.Errorf("an eviction that has begun: %+v, %v", n, err)
	}
	for _, odd := range []string{"", "{}", "[]", `{"Events":[]}`, "<html>"} {
		if n, err := agent.NewAzure(imds(t, nil, "", func() string { return odd })).Notice(t.Context()); err == nil {
			t.Errorf("answer %q: %+v, want an error: it says nothing", odd, n)
		}
	}
}
