package agent_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/agent"
)

func TestAWSEvidenceIsTheDocumentAndItsSignatureReadWithAToken(t *testing.T) {
	t.Parallel()
	base := mock(t)
	for _, path := range []string{"dynamic/instance-identity/document", "meta-data/spot/instance-action"} {
		if status := plainly(t, base, path); status != http.StatusUnauthorized {
			t.Errorf("without a token %s answers %d", path, status)
		}
	}
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut && r.Header.Get("X-Aws-Ec2-Metadata-Token") == "" {
			t.Errorf("%s was asked without a token", r.URL)
		}
		asked.Add(1)
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	}))
	defer between.Close()
	e, err := agent.NewAWS(between.URL).Evidence(t.Context(), "nonce", "sha256:key")
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ InstanceID, Region, AvailabilityZone string }
	err = json.Unmarshal(e.Document, &d)
	if err != nil || d.InstanceID == "" || !strings.HasPrefix(d.AvailabilityZone, d.Region) {
		t.Errorf("document %s (%v)", e.Document, err)
	}
	if e.Kind != agent.AWSKind || string(e.Signature) != signature {
		t.Errorf("evidence of kind %q with signature %q", e.Kind, e.Signature)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d requests were made, want a token, the document and the signature", n)
	}
}

func TestAWSIsNeverAskedWithoutAToken(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 404, 405, 500} { // the first three make a client that may fall back
		var plain atomic.Int32
		old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/latest/api/token" {
				w.WriteHeader(status)
				return
			}
			plain.Add(1) // version 1 would answer this
		}))
		_, err := agent.NewAWS(old.URL).Evidence(t.Context(), "", "")
		old.Close()
		if err == nil || !strings.HasSuffix(err.Error(), "metadata service answers with status "+strconv.Itoa(status)) {
			t.Errorf("a service without tokens (%d): %v", status, err)
		}
		if n := plain.Load(); n > 0 {
			t.Errorf("after %d it was asked %d times without a token", status, n)
		}
	}
}

func TestADeadMetadataServiceGivesOneClearError(t *testing.T) {
	t.Parallel()
	base := "http://" + free(t)
	_, err := agent.NewAWS(base).Evidence(t.Context(), "", "")
	want := `read identity document: Put "` + base + `/latest/api/token": dial tcp `
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("a dead service: %v, want %s…", err, want)
	}
}

func TestAHungMetadataServiceIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
		w.WriteHeader(http.StatusOK)
		for r.Context().Err() == nil { // an answer that does not end
			_, _ = w.Write([]byte("."))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}))
	t.Cleanup(drip.Close)
	for name, base := range map[string]string{"silent": "http://" + ln.Addr().String(), "endless": drip.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			_, err := agent.NewAWS(base).Evidence(t.Context(), "", "")
			if took := time.Since(begun); err == nil || took > patience/2 {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}

func TestWhatIsNoNoticeIsAnError(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no JSON": "soon", "no time": `{"action":"stop"}`, "no action": `{"time":"2026-09-18T08:22:00Z"}`, "nothing": " ",
		"another time": `{"action":"stop","time":"tomorrow"}`, "too much": strings.Repeat(" ", 70<<10) + "{}",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = w.Write([]byte(answer))
		}))
		n, err := agent.NewAWS(srv.URL).Notice(t.Context())
		srv.Close()
		if err == nil || n != (agent.Notice{}) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestWhichMetadataServiceIsAskedIsSaidAndNotGuessed(t *testing.T) {
	t.Parallel()
	for kind, ok := range map[[2]string]bool{
		{"local", "http://127.0.0.1:1"}: true, {"aws", ""}: true, {"aws", "http://127.0.0.1:1"}: true,
		{"local", ""}: false, {"", "http://127.0.0.1:1"}: false, {"azure", ""}: true, {"AWS", ""}: false, {"gcp", ""}: false,
	} {
		m, err := agent.OpenMetadata(kind[0], kind[1])
		if (err == nil) != ok || (m != nil) != ok {
			t.Errorf("OpenMetadata(%q, %q) = %v, %v", kind[0], kind[1], m, err)
		}
	}
	if n, err := (agent.Local{Base: "http://" + free(t)}).Notice(t.Context()); err != nil || n != (agent.Notice{}) {
		t.Errorf("the local driver gives notice: %+v, %v", n, err)
	}
}
