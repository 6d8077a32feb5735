package control_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

func TestABadCallIsRefusedInOneSentence(t *testing.T) {
	w := newWorld(t, nil)
	c := w.caller(t, w.house.leaf(t, tunnel.RoleUser, "ada", nil))
	big := `{"claim":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
	}{
		"a body over 1 MiB":            {"POST", "/v1/node/challenge", big, 413},
		"a body over 1 MiB of nothing": {"POST", "/v1/node/challenge", strings.Repeat(" ", 1<<20+1), 413},
		"no body":                      {"POST", "/v1/node/hello", "", 400},
		"half a body":                  {"POST", "/v1/node/hello", `{"claim":"c-`, 400},
		"no JSON":                      {"POST", "/v1/deeds", "action=burst.revoke", 400},
		"JSON of another shape":        {"POST", "/v1/deeds", `["burst.revoke"]`, 400},
		"an unknown field":             {"POST", "/v1/node/challenge", `{"claim":"c-1","as":"root"}`, 400},
		"an unknown field further in":  {"POST", "/v1/jobs", `{"site":"munich","job":{"sudo":true}}`, 400},
		"two values":                   {"POST", "/v1/node/challenge", `{"claim":"c-1"}{"claim":"c-2"}`, 400},
		"a number out of range":        {"POST", "/v1/node/challenge", `{"attempt":1e99}`, 400},
		"deeply nested":                {"POST", "/v1/jobs", strings.Repeat("[", 1<<19), 400},
		"the wrong method":             {"GET", "/v1/node/hello", "", 405},
		"a method nobody knows":        {"BREW", "/v1/status", "", 405},
		"the head alone":               {"OPTIONS", "/v1/status", "", 405},
		"an unknown path":              {"GET", "/v2/status", "", 404},
		"the root":                     {"GET", "/", "", 404},
		"a path below one":             {"GET", "/v1/status/", "", 404},
		"a path that is not clean":     {"GET", "/v1/../v1//status", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.call(t, tt.method, tt.path, tt.body)
			if a.status != tt.status || a.problem.Code != "BRS-4000" {
				t.Errorf("answers %d %+v", a.status, a.problem)
			}
			if len(a.body) > 400 || strings.ContainsAny(strings.TrimSuffix(string(a.body), "\n"), "\n\t") {
				t.Errorf("says more than a sentence: %q", a.body)
			}
			if heard := w.parts.heard(); len(heard) > 0 {
				t.Errorf("reached %q", heard)
			}
		})
	}
}

func TestOnlyTheKnownAreReadAtAll(t *testing.T) {
	w := newWorld(t, nil)
	c := w.caller(t, nil)
	for _, path := range []string{"/v1/node/report", "/v1/edge/entries", "/v1/edge/cosignature", "/v1/jobs", "/v1/deeds"} {
		if a := c.call(t, "POST", path, "not even JSON"); a.status != http.StatusUnauthorized {
			t.Errorf("%s reads a stranger's body and answers %d", path, a.status)
		}
	}
}

func TestAPartThatIsNotThereRefuses(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.Server = &control.Server{Domain: domain, House: w.house.pool, Grants: w.grants.pool}
	})
	for _, cert := range []*tls.Certificate{nil, w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil),
		w.house.leaf(t, tunnel.RoleEdge, "munich", nil), w.house.leaf(t, tunnel.RoleUser, "ada", nil)} {
		c := w.caller(t, cert)
		for _, call := range calls {
			if a := c.call(t, call.method, call.path, call.body); a.status != http.StatusNotFound {
				t.Errorf("%s answers %d", call.path, a.status)
			}
		}
	}
}

func TestAnErrorOfThePartsHasItsStatus(t *testing.T) {
	const secret = "10.0.0.7"
	wire := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect to " + secret)}
	disk := &fs.PathError{Op: "write", Path: "/var/lib/" + secret, Err: syscall.EIO}
	move := &os.LinkError{Op: "rename", Old: secret, New: "b", Err: syscall.ENOSPC}
	for name, tt := range map[string]struct {
		err    error
		status int
		code   string
		told   bool // its text reaches the caller
	}{
		"refused":            {fmt.Errorf("credential %s: %w", secret, errRefused), 403, "BRS-4002", true},
		"unknown":            {fmt.Errorf("find %s: %w", secret, errUnknown), 404, "BRS-4004", true},
		"the caller's fault": {errors.New("read report: kind " + secret + " is none of a node's"), 400, "BRS-1000", true},
		"a disk":             {fmt.Errorf("enter in log: %w", disk), 500, "BRS-1000", false},
		"a full disk":        {fmt.Errorf("enter in log: %w", move), 500, "BRS-1000", false},
		"a network":          {fmt.Errorf("issue: %w", wire), 500, "BRS-1000", false},
		"an errno":           {fmt.Errorf("lock %s: %w", secret, syscall.EAGAIN), 500, "BRS-1000", false},
		"too slow":           {fmt.Errorf("ask %s: %w", secret, context.DeadlineExceeded), 503, "BRS-1000", false},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			w := newWorld(t, func(w *world) {
				w.parts.err = tt.err
				w.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			a := w.caller(t, w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil)).call(t, "POST", "/v1/node/report", `{}`)
			if a.status != tt.status || a.problem.Code != tt.code || strings.Contains(string(a.body), secret) != tt.told {
				t.Errorf("answers %d %s", a.status, a.body)
			}
			w.http.Close()
			if !strings.Contains(log.String(), secret) {
				t.Errorf("the log keeps it to itself: %s", log.String())
			}
		})
	}
}

func TestANodeIsToldNothingOfWhatFailsInside(t *testing.T) {
	w := newWorld(t, func(w *world) { w.parts.err = errors.New("vault at vault.internal: permission denied") })
	grant := w.caller(t, w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil))
	for _, call := range calls[:3] { // what a node calls without having said anything that can be wrong
		a := grant.call(t, call.method, call.path, call.body)
		if a.status != http.StatusInternalServerError || strings.Contains(string(a.body), "vault") {
			t.Errorf("%s answers %d %s", call.path, a.status, a.body)
		}
	}
}

func TestATokenThatCannotBeCheckedIsNoneAndSaysNothingOfWhy(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.Token = func(context.Context, string) (string, []string, error) {
			return "", nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("idp.internal refused")}
		}
	})
	a := w.caller(t, nil).call(t, "GET", "/v1/status", "", "Authorization", "Bearer of-ada")
	told := strings.Contains(string(a.body), "internal")
	if a.status != http.StatusUnauthorized || told || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("answers %d %s", a.status, a.body)
	}
}

func FuzzTheHandlerAnswersOnceAndDoesNotPanic(f *testing.F) {
	for _, call := range calls {
		f.Add(call.method, call.path, []byte(call.body), "", uint8(1))
	}
	f.Add("POST", "/v1/deeds", []byte(`{"action":"burst.revoke","reason":null}`), "Bearer x", uint8(0))
	f.Add("POST", "/v1/jobs", []byte(`{"site":"m","job":{"lease":-1,"gpus":1e3,"budget":{"micros":"9"}}}`), "", uint8(3))
	f.Add("GET", "/v1/edge/work?since=-9223372036854775809&since=7", []byte("null"), "", uint8(2))
	house, grants := newAuthority(f), newAuthority(f)
	var chains [][]*x509.Certificate
	for _, c := range []*tls.Certificate{nil, grants.leaf(f, tunnel.RoleGrant, "grant-1", nil),
		house.leaf(f, tunnel.RoleEdge, "munich", nil), house.leaf(f, tunnel.RoleUser, "ada", nil)} {
		var chain []*x509.Certificate
		if c != nil {
			leaf, err := x509.ParseCertificate(c.Certificate[0])
			must(f, err)
			chain = append(chain, leaf)
		}
		chains = append(chains, chain)
	}
	p := &parts{}
	s := &control.Server{Domain: domain, House: house.pool, Grants: grants.pool, Pleader: p, Bearer: p,
		Site: p, Log: p, Desk: p,
		Allow: func(string, []string, string) error { return nil },
		Token: func(context.Context, string) (string, []string, error) {
			return "", nil, errors.New("no token is good")
		}}
	handler := s.HTTP().Handler
	f.Fuzz(func(t *testing.T, method, target string, body []byte, authorization string, who uint8) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(body)))
		u, err := r.URL.Parse(target)
		if err != nil {
			return
		}
		r.Method, r.URL = method, u
		r.Header.Set("Authorization", authorization)
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: chains[int(who)%len(chains)]}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		a := form(t, answer{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()})
		switch a.status {
		case 200, 400, 401, 404, 405, 413:
		default:
			t.Errorf("%s %s answers %d %s", method, target, a.status, a.body)
		}
		if r.TLS.PeerCertificates == nil && a.status == 200 && !strings.HasPrefix(u.Path, "/v1/node/") {
			t.Errorf("a stranger may %s %s", method, target)
		}
		p.heard()
	})
}
