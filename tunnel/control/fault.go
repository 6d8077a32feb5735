package control

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
)

// The codes of refusals, as configs/frame registers them.
const (
	failed    = "BRS-1000" // tried, and it did not work
	malformed = "BRS-4000" // not a call this endpoint understands
	nobody    = "BRS-4001" // who calls is not known
	ended     = "BRS-4002" // the grant's credential is refused
	denied    = "BRS-4003" // no role permits it
	noClaim   = "BRS-4004" // no such claim
)

// problem is an answer that is an error: its HTTP status and our code.
type problem struct {
	status int
	code   string
	err    error
}

func (p problem) Error() string { return p.err.Error() }
func (p problem) Unwrap() error { return p.err }

// told is what the caller reads. What went wrong inside stays inside.
func (p problem) told() string {
	switch {
	case p.status == http.StatusServiceUnavailable:
		return "the controller could not do this in time"
	case p.status == http.StatusInternalServerError || ofTheSystem(p.err):
		return "the controller could not do this; its own log says why"
	}
	return p.err.Error()
}

// unknown is the refusal of a caller that is nobody.
func unknown(err error) error { return problem{http.StatusUnauthorized, nobody, err} }

// fault gives an error of the parts behind the endpoint its status. quiet makes
// the house's own of every error that no sentinel explains.
func (s *Server) fault(err error, quiet bool) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	code := failed
	if s.Code != nil {
		code = cmp.Or(s.Code(err), failed)
	}
	switch {
	case s.Refused != nil && errors.Is(err, s.Refused):
		return problem{http.StatusForbidden, ended, err}
	case s.Unknown != nil && errors.Is(err, s.Unknown):
		return problem{http.StatusNotFound, noClaim, err}
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return problem{http.StatusServiceUnavailable, failed, err}
	case quiet || ofTheSystem(err):
		return problem{http.StatusInternalServerError, code, err}
	}
	return problem{http.StatusBadRequest, code, err}
}

// ofTheSystem reports whether a disk, a network or the machine is at the bottom
// of err: paths, addresses and errnos are no caller's business.
func ofTheSystem(err error) bool {
	_, errno := errors.AsType[syscall.Errno](err)
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, wire := errors.AsType[net.Error](err)
	return errno || path || link || wire
}
