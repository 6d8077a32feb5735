package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/pools/burst"
)

// Serve is one serve window: what the edge said it would send, and what it then said it had.
type Serve struct {
	Claim    string   `json:"claim"`
	Grant    string   `json:"grant"`
	N        int      `json:"window"`
	What     string   `json:"what"` // the slice's name, "program", or "unknown"
	Manifest string   `json:"manifest"`
	Opened   *Mark    `json:"opened"`  // nil: no entry allowed it
	Closed   *Mark    `json:"closed"`  // nil: no entry says what went out
	Allowed  int64    `json:"allowed"` // bytes
	Served   int64    `json:"served"`  // bytes; if not closed up to Allowed may have gone out
	State    string   `json:"state"`   // "matched", "open" while the burst lives, or "violation"
	Why      []string `json:"why,omitempty"`
}

// The states of a serve window.
const (
	Matched   = "matched"
	Open      = "open"
	Violation = "violation"
)

// open folds a window. What does not hold is noted with it: the bytes may be out all the same.
func (l *life) open(m Mark, actor string, b *burst.Window) {
	w := &window{opened: m, grant: b.Grant, n: b.N, manifest: b.Manifest, allowed: b.Bytes}
	g := l.grant(b.Grant)
	bad := func(format string, args ...any) { w.findings = append(w.findings, fmt.Sprintf(format, args...)) }
	switch {
	case g == nil:
		bad("no earlier entry grants it")
	case !m.At.Before(g.expires):
		bad("opened after its grant ended at %s", clock(g.expires))
	}
	if g != nil && len(l.serials) == 0 {
		bad("opened before any credential was issued")
	}
	if l.stop.is() {
		bad("opened after the burst was stopped by entry %d", l.stop.Index)
	}
	if b.N != l.number+1 {
		bad("number %d does not follow %d", b.N, l.number)
	}
	l.number = max(l.number, b.N)
	if b.Bytes <= 0 {
		bad("it allows %d bytes", b.Bytes)
	}
	if l.what(b.Manifest) == unknown {
		bad("its manifest is neither the slice that was asked for nor the program")
	}
	if actor != "edge:"+l.request.Site {
		bad("opened by %s, not by the edge of the site that asked", actor)
	}
	l.windows = append(l.windows, w)
}

// close folds what went out in a window.
func (l *life) close(m Mark, b *burst.Served) {
	var same *window
	for _, w := range l.windows {
		if w.n == b.N && w.grant == b.Grant && w.opened.is() {
			same = w
		}
	}
	switch {
	case same == nil:
		l.windows = append(l.windows, &window{closed: m, grant: b.Grant, n: b.N, served: b.Bytes,
			findings: []string{"bytes without an entry that allowed them"}})
		return
	case same.closed.is():
		l.windows = append(l.windows, &window{closed: m, grant: b.Grant, n: b.N, manifest: same.manifest,
			served: b.Bytes, findings: []string{fmt.Sprintf("already closed by entry %d", same.closed.Index)}})
		return
	}
	same.closed, same.served = m, b.Bytes
	if b.Bytes > same.allowed || b.Bytes < 0 {
		same.findings = append(same.findings, fmt.Sprintf("%d bytes went out, %d were allowed", b.Bytes, same.allowed))
	}
}

// What a manifest may be of, besides the slice.
const (
	program = "program"
	unknown = "unknown"
)

// what names the thing a manifest lists.
func (l *life) what(manifest string) string {
	switch manifest {
	case "":
		return unknown
	case l.request.SliceDigest:
		return l.request.Job.Slice
	case l.request.PayloadDigest:
		return program
	}
	return unknown
}

// serve puts a window into an answer.
func (l *life) serve(w *window) Serve {
	s := Serve{Claim: l.claim, Grant: w.grant, N: w.n, What: l.what(w.manifest), Manifest: w.manifest,
		Opened: ptr(w.opened), Closed: ptr(w.closed), Allowed: w.allowed, Served: w.served,
		State: Matched, Why: slices.Clone(w.findings)}
	switch {
	case w.closed.is():
	case l.ended.is():
		s.Why = append(s.Why, fmt.Sprintf("the burst ended with entry %d and no entry says what went out", l.ended.Index))
	default:
		s.State = Open
	}
	if len(s.Why) > 0 {
		s.State = Violation
	}
	return s
}

// Serves lists every window in the order in which the log first names them, with a finding for each that is unmatched.
// A window that is open while its burst lives is listed, not found.
func (r *Review) Serves() ([]Serve, []Finding) {
	serves, findings := []Serve{}, r.doubts()
	for _, l := range r.order {
		for _, w := range l.windows {
			s := l.serve(w)
			serves = append(serves, s)
			if s.State != Violation {
				continue
			}
			at := w.opened
			if w.closed.is() {
				at = w.closed
			}
			findings = append(findings, Finding{at, l.claim,
				fmt.Sprintf("window %d of grant %s: %s", w.n, w.grant, strings.Join(s.Why, "; "))})
		}
		findings = append(findings, l.findings...)
	}
	return serves, findings
}

// doubts are the findings that go with every answer.
func (r *Review) doubts() []Finding { return append([]Finding{}, r.unreadable...) }

// ptr is m, or nil if it is no entry.
func ptr(m Mark) *Mark {
	if !m.is() {
		return nil
	}
	return &m
}
