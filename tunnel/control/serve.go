package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// maxBody bounds every request body; a hello with evidence is a few KiB.
const maxBody = 1 << 20

// HTTP returns the endpoint's server with every time-out set. The caller
// serves it on a TLS listener made with [Server.TLS].
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:                      s.handler(),
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  s.poll() + 30*time.Second, // a shorter one would end polls
		WriteTimeout:                 s.poll() + 30*time.Second,
		IdleTimeout:                  time.Minute,
		MaxHeaderBytes:               16 << 10,
		DisableGeneralOptionsHandler: true,
	}
}

// maxPoll is less than a [Client] waits for the first byte of an answer.
const maxPoll = 30 * time.Second

func (s *Server) poll() time.Duration {
	if s.LongPoll <= 0 {
		return 10 * time.Second
	}
	return min(s.LongPoll, maxPoll)
}

// route is one path of the endpoint.
type route struct {
	method string
	here   bool // the part that answers is there
	quiet  bool // callers may err only in ways that have a sentinel: any other error is the house's own
	do     func(*http.Request) (any, error)
}

// handler answers exact paths only: no redirect, no cleaned path.
func (s *Server) handler() http.Handler {
	routes := map[string]route{
		"/v1/node/challenge":   {"POST", s.Pleader != nil, true, s.challenge},
		"/v1/node/hello":       {"POST", s.Pleader != nil, true, s.hello},
		"/v1/node/orders":      {"GET", s.Bearer != nil, true, s.orders},
		"/v1/node/report":      {"POST", s.Bearer != nil, false, s.report},
		"/v1/edge/work":        {"GET", s.Site != nil, true, s.work},
		"/v1/edge/entries":     {"POST", s.Site != nil, false, s.entries},
		"/v1/edge/extension":   {"GET", s.Log != nil, false, s.extension},
		"/v1/edge/cosignature": {"POST", s.Log != nil, false, s.cosignature},
		"/v1/jobs":             {"POST", s.Desk != nil, false, s.submit},
		"/v1/plan":             {"POST", s.Plans != nil, false, s.plan},
		"/v1/apply":            {"POST", s.Plans != nil, false, s.apply},
		"/v1/status":           {"GET", s.Desk != nil, false, s.status},
		"/v1/deeds":            {"POST", s.Desk != nil, false, s.deeds},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, ok := routes[r.URL.Path]
		switch {
		case !ok || !to.here:
			to.do = func(*http.Request) (any, error) {
				return nil, problem{http.StatusNotFound, malformed, errors.New("find path: nothing answers there")}
			}
		case r.Method != to.method:
			w.Header().Set("Allow", to.method)
			to.do = func(*http.Request) (any, error) {
				return nil, problem{http.StatusMethodNotAllowed, malformed, fmt.Errorf("take call: want method %s", to.method)}
			}
		}
		s.answer(w, r, to)
	})
}

// answer calls the route and writes its result, or RFC 9457 problem details.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, to route) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	v, err := to.do(r)
	var body []byte
	if err == nil {
		body, err = json.Marshal(v)
	}
	status, kind := http.StatusOK, "application/json"
	if err != nil {
		p := s.fault(err, to.quiet)
		s.logger().InfoContext(r.Context(), "call refused", "path", r.URL.Path, "status", p.status, "code", p.code,
			"error", err.Error())
		status, kind = p.status, "application/problem+json"
		body, _ = json.Marshal(Problem{Status: p.status, Code: p.code, Detail: p.told()}) // cannot fail
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone if this errs
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

// read decodes a request body strictly.
func read[T any](r *http.Request) (v T, err error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err = d.Decode(&v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return v, nil
		} else if err == nil {
			err = errors.New("something follows the body")
		}
	}
	status := http.StatusBadRequest
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		status = http.StatusRequestEntityTooLarge
	}
	return v, problem{status, malformed, fmt.Errorf("read request: %w", err)}
}

func bearerToken(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// number reads what the caller has seen: -1, and anything unreadable, is nothing yet.
func number(r *http.Request, key string) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(key), 10, 64)
	if err != nil {
		return -1
	}
	return max(n, -1)
}

func (s *Server) challenge(r *http.Request) (any, error) {
	in, err := read[challenge](r)
	if err != nil {
		return nil, err
	}
	nonce, grant, err := s.Pleader.Challenge(in.Claim, in.Attempt)
	return challenged{nonce, grant}, err
}

func (s *Server) hello(r *http.Request) (any, error) {
	in, err := read[tunnel.Hello](r)
	if err != nil {
		return nil, err
	}
	return s.Pleader.Hello(r.Context(), in)
}

func (s *Server) orders(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleGrant)
	if err != nil {
		return nil, unknown(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	order, n, err := s.Bearer.Orders(ctx, p.Grant, p.Serial, number(r, "since"))
	return orders{order, n}, err
}

func (s *Server) report(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleGrant)
	if err != nil {
		return nil, unknown(err)
	}
	in, err := read[tunnel.Report](r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Bearer.Report(p.Grant, p.Serial, in)
}

func (s *Server) work(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleEdge)
	if err != nil {
		return nil, unknown(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	return s.Site.Work(ctx, p.Identity.Name, number(r, "since")), nil
}

func (s *Server) entries(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleEdge)
	if err != nil {
		return nil, unknown(err)
	}
	in, err := read[tunnel.Entering](r)
	if err != nil {
		return nil, err
	}
	return s.Site.EnterFor(r.Context(), p.Identity.Name, in)
}

func (s *Server) extension(r *http.Request) (any, error) {
	if _, err := s.peer(r, tunnel.RoleEdge); err != nil {
		return nil, unknown(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	return s.Log.Extension(ctx, max(number(r, "old"), 0))
}

func (s *Server) cosignature(r *http.Request) (any, error) {
	if _, err := s.peer(r, tunnel.RoleEdge); err != nil {
		return nil, unknown(err)
	}
	in, err := read[cosigned](r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Log.Cosign(in.Checkpoint)
}

func (s *Server) submit(r *http.Request) (any, error) {
	actor, err := s.allowed(r, ActionSubmit)
	if err != nil {
		return nil, err
	}
	in, err := read[submission](r)
	if err != nil {
		return nil, err
	}
	return s.Desk.Submit(actor, in.Site, in.Job)
}

func (s *Server) status(r *http.Request) (any, error) {
	if _, err := s.allowed(r, ActionList); err != nil {
		return nil, err
	}
	return s.Desk.Status(), nil
}

func (s *Server) deeds(r *http.Request) (any, error) {
	actor, groups, err := s.caller(r)
	if err != nil {
		return nil, err
	}
	in, err := read[deed](r)
	if err != nil {
		return nil, err
	}
	if err := s.may(actor, groups, in.Action); err != nil {
		return nil, err
	}
	return struct{}{}, s.Desk.Do(r.Context(), actor, in.Action, in.Claim, in.Reason)
}
