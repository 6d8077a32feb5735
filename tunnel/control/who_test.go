package control_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// calls are all there are, each well formed.
var calls = []struct{ method, path, body, part string }{
	{"POST", "/v1/node/challenge", `{"claim":"c-1","attempt":1}`, "node"},
	{"POST", "/v1/node/hello", `{"claim":"c-1"}`, "node"},
	{"GET", "/v1/node/orders?since=0", "", "grant"},
	{"POST", "/v1/node/report", `{"kind":"unmounted","body":{}}`, "grant"},
	{"GET", "/v1/edge/work?since=0", "", "edge"},
	{"POST", "/v1/edge/entries", `{"claim":"c-1"}`, "edge"},
	{"GET", "/v1/edge/extension?old=0", "", "edge"},
	{"POST", "/v1/edge/cosignature", `{"checkpoint":""}`, "edge"},
	{"POST", "/v1/jobs", `{"site":"munich"}`, "desk"},
	{"POST", "/v1/plan", `{"site":"munich"}`, "desk"},
	{"POST", "/v1/apply", `{"sealed":"x","percent":5}`, "desk"},
	{"GET", "/v1/status", "", "desk"},
	{"POST", "/v1/deeds", `{"action":"burst.revoke","claim":"c-1"}`, "desk"},
}

func TestACertificateOpensWhatItsRoleMayAndNothingElse(t *testing.T) {
	w, stranger := newWorld(t, nil), newAuthority(t)
	minutes := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(from*time.Minute), time.Now().Add(to*time.Minute)
		}
	}
	own := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	two := func(c *x509.Certificate) { c.URIs = append(c.URIs, uris(t, domain, tunnel.RoleEdge, "oslo")...) }
	elsewhere := func(c *x509.Certificate) { c.URIs = uris(t, "else.test", tunnel.RoleEdge, "munich") }
	nameless := func(c *x509.Certificate) { c.URIs = nil }
	ca := &tls.Certificate{Certificate: [][]byte{w.house.cert.Raw}, PrivateKey: w.house.key}
	for name, tt := range map[string]struct {
		cert *tls.Certificate
		part string // which calls it opens beside a node's first two
	}{
		"nobody":                       {nil, ""},
		"a grant":                      {w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil), "grant"},
		"an edge":                      {w.house.leaf(t, tunnel.RoleEdge, "munich", nil), "edge"},
		"a user":                       {w.house.leaf(t, tunnel.RoleUser, "ada", nil), "desk"},
		"the controller itself":        {w.house.leaf(t, tunnel.RoleController, "controller", nil), ""},
		"a grant by the house CA":      {w.house.leaf(t, tunnel.RoleGrant, "grant-1", nil), ""},
		"an edge by the grants CA":     {w.grants.leaf(t, tunnel.RoleEdge, "munich", nil), ""},
		"a user by the grants CA":      {w.grants.leaf(t, tunnel.RoleUser, "ada", nil), ""},
		"an edge by a stranger":        {stranger.leaf(t, tunnel.RoleEdge, "munich", nil), ""},
		"an edge of another domain":    {w.house.leaf(t, tunnel.RoleEdge, "munich", elsewhere), ""},
		"an edge of two names":         {w.house.leaf(t, tunnel.RoleEdge, "munich", two), ""},
		"an edge of no name":           {w.house.leaf(t, tunnel.RoleEdge, "munich", nameless), ""},
		"an edge that may only serve":  {w.house.leaf(t, tunnel.RoleEdge, "munich", own), ""},
		"an edge expired":              {w.house.leaf(t, tunnel.RoleEdge, "munich", minutes(-9, -1)), ""},
		"an edge not yet":              {w.house.leaf(t, tunnel.RoleEdge, "munich", minutes(1, 9)), ""},
		"a grant expired":              {w.grants.leaf(t, tunnel.RoleGrant, "grant-1", minutes(-9, -1)), ""},
		"a grant not yet":              {w.grants.leaf(t, tunnel.RoleGrant, "grant-1", minutes(1, 9)), ""},
		"a grant that lives too long":  {w.grants.leaf(t, tunnel.RoleGrant, "grant-1", minutes(0, 50)), ""},
		"a user expired":               {w.house.leaf(t, tunnel.RoleUser, "ada", minutes(-9, -1)), ""},
		"the CA's own, as if it spoke": {ca, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.caller(t, tt.cert)
			for _, call := range calls {
				a := c.call(t, call.method, call.path, call.body)
				heard := w.parts.heard()
				if call.part == "node" || call.part == tt.part {
					if a.status != http.StatusOK || len(heard) != 1 {
						t.Errorf("%s answers %d %s", call.path, a.status, a.body)
					}
					continue
				}
				if a.status != http.StatusUnauthorized || a.problem.Code != "BRS-4001" || len(heard) != 0 {
					t.Errorf("%s answers %d %s, and %q was reached", call.path, a.status, a.problem.Code, heard)
				}
			}
		})
	}
}

func TestABearerIsHeardAsItsCertificateSaysAndNotAsItSays(t *testing.T) {
	w := newWorld(t, nil)
	serial := func(n int64) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
	}
	for _, tt := range []struct {
		cert *tls.Certificate
		want []string
	}{
		{w.grants.leaf(t, tunnel.RoleGrant, "grant-1", serial(0xabc)),
			[]string{"orders grant-1 0abc", "report grant-1 0abc unmounted"}},
		{w.grants.leaf(t, tunnel.RoleGrant, "grant-2", serial(0xdef)),
			[]string{"orders grant-2 0def", "report grant-2 0def unmounted"}},
		{w.house.leaf(t, tunnel.RoleEdge, "munich", nil), []string{"work munich", "enter munich c-of-oslo"}},
		{w.house.leaf(t, tunnel.RoleEdge, "oslo", nil), []string{"work oslo", "enter oslo c-of-oslo"}},
	} {
		c := w.caller(t, tt.cert)
		if strings.HasPrefix(tt.want[0], "orders") {
			c.call(t, "GET", "/v1/node/orders?since=0&grant=grant-9&serial=99", "")
			c.call(t, "POST", "/v1/node/report?grant=grant-9", `{"kind":"unmounted","body":{}}`)
		} else {
			c.call(t, "GET", "/v1/edge/work?since=0&site=rome", "")
			c.call(t, "POST", "/v1/edge/entries?site=rome", `{"claim":"c-of-oslo"}`)
		}
		if got := w.parts.heard(); !slices.Equal(got, tt.want) {
			t.Errorf("heard %q, want %q", got, tt.want)
		}
	}
}

func TestACredentialOfAnotherGrantIsTheEnginesToRefuse(t *testing.T) {
	w := newWorld(t, func(w *world) { w.parts.err = errRefused })
	client := w.client(w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil))
	if _, _, err := client.Orders(t.Context(), -1); !control.Refused(err) {
		t.Errorf("orders: %v", err)
	}
	if err := client.Report(t.Context(), "unmounted", struct{}{}); !control.Refused(err) {
		t.Errorf("report: %v", err)
	}
}

func TestEveryCallIsAuthorisedAnewOnTheSameConnection(t *testing.T) {
	t.Parallel()
	t.Run("a role is withdrawn", func(t *testing.T) {
		var allowed atomic.Bool
		allowed.Store(true)
		w := newWorld(t, func(w *world) {
			w.Allow = func(string, []string, string) error {
				if allowed.Load() {
					return nil
				}
				return errors.New("ada is no auditor any more")
			}
		})
		c := w.caller(t, w.house.leaf(t, tunnel.RoleUser, "ada", nil))
		if a := c.call(t, "GET", "/v1/status", ""); a.status != http.StatusOK {
			t.Fatalf("with the role: %s", a.body)
		}
		allowed.Store(false)
		a := c.call(t, "GET", "/v1/status", "")
		if a.status != http.StatusForbidden || !c.reused {
			t.Errorf("without it: %d, on the same connection: %v", a.status, c.reused)
		}
	})
	t.Run("the certificate expires", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		end := time.Now().Add(4 * time.Second).Truncate(time.Second)
		c := w.caller(t, w.grants.leaf(t, tunnel.RoleGrant, "grant-1", func(c *x509.Certificate) { c.NotAfter = end }))
		if a := c.call(t, "GET", "/v1/node/orders", ""); a.status != http.StatusOK {
			t.Fatalf("before its end: %s", a.body)
		}
		<-time.After(time.Until(end) + 10*time.Millisecond) // the endpoint has no clock of ours
		a := c.call(t, "GET", "/v1/node/orders", "")
		if a.status != http.StatusUnauthorized || !c.reused {
			t.Errorf("after its end: %d, on the same connection: %v", a.status, c.reused)
		}
	})
}

func TestAPersonMayDoWhatARoleAllows(t *testing.T) {
	roles := func(actor string, groups []string, action string) error {
		if actor == "user:ada" && action == control.ActionList || slices.Contains(groups, "operators") {
			return nil
		}
		return errors.New("no role of " + actor + " allows " + action)
	}
	tokens := func(_ context.Context, raw string) (string, []string, error) {
		switch raw {
		case "of-grace":
			return "oidc:grace", []string{"operators"}, nil
		case "of-no-one":
			return "", []string{"operators"}, nil
		}
		return "", nil, errors.New("token is not signed by the issuer")
	}
	for name, tt := range map[string]struct {
		change       func(*world)
		user, token  string
		list, revoke int
	}{
		"nobody":                         {nil, "", "", 401, 401},
		"ada, who may list":              {nil, "ada", "", 200, 403},
		"bob, who may nothing":           {nil, "bob", "", 403, 403},
		"grace, by token":                {nil, "", "of-grace", 200, 200},
		"a token that is none":           {nil, "", "forged", 401, 401},
		"a token of no one":              {nil, "", "of-no-one", 401, 401},
		"a bad token is not made good":   {nil, "ada", "forged", 401, 401},
		"a token where none are taken":   {func(w *world) { w.Token = nil }, "", "of-grace", 401, 401},
		"no roles are configured":        {func(w *world) { w.Allow = nil }, "ada", "", 403, 403},
		"no roles, and a token":          {func(w *world) { w.Allow = nil }, "", "of-grace", 403, 403},
		"no house CA is configured":      {func(w *world) { w.House = nil }, "ada", "", 401, 401},
		"the grants CA makes no people":  {func(w *world) { w.House = w.Grants }, "ada", "", 401, 401},
		"the endpoint has no domain yet": {func(w *world) { w.Domain = "" }, "ada", "", 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.Allow, w.Token = roles, tokens
				if tt.change != nil {
					tt.change(w)
				}
			})
			var cert *tls.Certificate
			if tt.user != "" {
				cert = w.house.leaf(t, tunnel.RoleUser, tt.user, nil)
			}
			var header []string
			if tt.token != "" {
				header = []string{"Authorization", "Bearer " + tt.token}
			}
			c := w.caller(t, cert)
			codes := map[int]string{200: "", 401: "BRS-4001", 403: "BRS-4003"}
			for _, do := range []struct {
				a    answer
				want int
			}{
				{c.call(t, "GET", "/v1/status", "", header...), tt.list},
				{c.call(t, "POST", "/v1/deeds", `{"action":"burst.revoke","claim":"c-1"}`, header...), tt.revoke},
			} {
				if do.a.status != do.want || do.a.problem.Code != codes[do.want] {
					t.Errorf("answers %d %+v, want %d", do.a.status, do.a.problem, do.want)
				}
			}
			if heard := w.parts.heard(); slices.Contains(heard, "status") != (tt.list == 200) ||
				slices.ContainsFunc(heard, func(h string) bool { return strings.HasPrefix(h, "do ") }) != (tt.revoke == 200) {
				t.Errorf("reached %q", heard)
			}
		})
	}
}

func TestTheActorIsWhoWasIdentified(t *testing.T) {
	w := newWorld(t, nil)
	c := w.caller(t, w.house.leaf(t, tunnel.RoleUser, "ada", nil))
	c.call(t, "POST", "/v1/deeds", `{"action":"burst.revoke","claim":"c-1","reason":"because"}`)
	if got := w.parts.heard(); !slices.Equal(got, []string{"do user:ada burst.revoke c-1"}) {
		t.Errorf("heard %q", got)
	}
	a := c.call(t, "POST", "/v1/deeds", `{"actor":"user:root","action":"burst.revoke"}`)
	if a.status != http.StatusBadRequest {
		t.Errorf("a caller names its actor: %d", a.status)
	}
}
