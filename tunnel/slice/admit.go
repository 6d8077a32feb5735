package slice

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// handshake agrees on TLS and learns who the peer is.
func (s *session) handshake() error {
	ctx, done := context.WithTimeout(s.ctx, handshakeTimeout)
	defer done()
	if err := s.conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	cs := s.conn.ConnectionState()
	peer, err := PeerOf(cs)
	if err != nil {
		return err
	}
	s.echo = cs.NegotiatedProtocol == ALPNEcho
	if peer.Grant == "" || !s.echo && cs.NegotiatedProtocol != ALPN {
		return fmt.Errorf("handshake: %s is no grant on this road", peer.Identity.URI())
	}
	s.peer, s.until = peer, peer.NotAfter
	return nil
}

// admit waits for the receipt and asks the gate.
func (s *session) admit() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return fmt.Errorf("await receipt: %w", err)
	}
	h, body, err := s.next()
	if err != nil {
		return fmt.Errorf("await receipt: %w", err)
	}
	if h.op != opPresent {
		return fmt.Errorf("await receipt: node began with %s", h.op)
	}
	g, err := s.cfg.Gate.Open(s.ctx, s.peer, body)
	now := s.now()
	switch {
	case err != nil:
	case g.ID() == "" || g.ID() != s.peer.Grant || g.NodeKey() != s.peer.NodeKey:
		err = &Denied{Code: "peer"}
	case !g.Valid(now) || !now.Before(s.peer.NotAfter):
		err = &Denied{Code: "expired"}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open grant: %w", refusal(err)), s.reply(h, statusDenied, []byte(code(err))))
	}
	s.grant = g
	if g.Expires().Before(s.until) {
		s.until = g.Expires()
	}
	return s.reply(h, statusOK, nil)
}

// refusal makes sure that an error of the gate is an ErrDenied.
func refusal(err error) error {
	if errors.Is(err, ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDenied, err)
}

// code is what the node is told of a refusal.
func code(err error) string {
	if d, ok := errors.AsType[*Denied](err); ok && cleanCode(d.Code) {
		return d.Code
	}
	return "denied"
}

// cleanCode reports whether s may travel as a reason code.
func cleanCode(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
