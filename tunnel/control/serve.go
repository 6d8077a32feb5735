package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      s.poll() + 30*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func (s *Server) poll() time.Duration {
	if s.LongPoll <= 0 {
		return 10 * time.Second
	}
	return s.LongPoll
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(*http.Request) (any, error){
		"POST /v1/node/challenge":   s.challenge,
		"POST /v1/node/hello":       s.hello,
		"GET /v1/node/orders":       s.orders,
		"POST /v1/node/report":      s.report,
		"GET /v1/edge/work":         s.work,
		"POST /v1/edge/entries":     s.entries,
		"GET /v1/edge/extension":    s.extension,
		"POST /v1/edge/cosignature": s.cosignature,
		"POST /v1/jobs":             s.submit,
		"GET /v1/status":            s.status,
		"POST /v1/deeds":            s.deeds,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, h) })
	}
	return mux
}

// problem is an answer that is an error: its HTTP status and our code.
type problem struct {
	status int
	code   string
	err    error
}

func (p problem) Error() string { return p.err.Error() }
func (p problem) Unwrap() error { return p.err }

// answer runs h and writes its result, or RFC 9457 problem details.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, h func(*http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	v, err := h(r)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the caller is gone if this errs
		return
	}
	p, ok := errors.AsType[problem](err)
	switch {
	case ok:
	case s.Refused != nil && errors.Is(err, s.Refused):
		p = problem{http.StatusForbidden, "BRS-4003", err}
	case s.Unknown != nil && errors.Is(err, s.Unknown):
		p = problem{http.StatusNotFound, "BRS-1000", err}
	default:
		p = problem{http.StatusBadRequest, "BRS-1000", err}
	}
	s.Logger.InfoContext(r.Context(), "call refused", "path", r.URL.Path, "status", p.status, "error", err.Error())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(Problem{Status: p.status, Code: p.code, Detail: p.err.Error()})
}

// read decodes a request body strictly.
func read[T any](r *http.Request) (v T, err error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, problem{http.StatusBadRequest, "BRS-1000", fmt.Errorf("read request: %w", err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, problem{http.StatusBadRequest, "BRS-1000", errors.New("read request: something follows the body")}
	}
	return v, nil
}

func bearerToken(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func number(r *http.Request, key string) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(key), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
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
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	order, n, err := s.Bearer.Orders(ctx, p.Grant, p.Serial, number(r, "since"))
	return orders{order, n}, err
}

func (s *Server) report(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleGrant)
	if err != nil {
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
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
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	return s.Site.Work(ctx, p.Identity.Name, number(r, "since")), nil
}

func (s *Server) entries(r *http.Request) (any, error) {
	p, err := s.peer(r, tunnel.RoleEdge)
	if err != nil {
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
	}
	in, err := read[tunnel.Entering](r)
	if err != nil {
		return nil, err
	}
	return s.Site.EnterFor(r.Context(), p.Identity.Name, in)
}

func (s *Server) extension(r *http.Request) (any, error) {
	if _, err := s.peer(r, tunnel.RoleEdge); err != nil {
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.poll())
	defer cancel()
	return s.Log.Extension(ctx, number(r, "old"))
}

func (s *Server) cosignature(r *http.Request) (any, error) {
	if _, err := s.peer(r, tunnel.RoleEdge); err != nil {
		return nil, problem{http.StatusUnauthorized, "BRS-4001", err}
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
	in, err := read[deed](r)
	if err != nil {
		return nil, err
	}
	actor, err := s.allowed(r, in.Action)
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Desk.Do(r.Context(), actor, in.Action, in.Claim, in.Reason)
}
