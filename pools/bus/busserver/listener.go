package busserver

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// listener turns the server's own log lines into slog records, and keeps the
// first fatal one, which is how the server says why it did not start.
type listener struct {
	log   *slog.Logger
	mu    sync.Mutex
	first error
}

// Noticef is silent: the server is chatty.
func (*listener) Noticef(string, ...any) {}

// Debugf is silent.
func (*listener) Debugf(string, ...any) {}

// Tracef is silent: it would show payloads.
func (*listener) Tracef(string, ...any) {}

// Warnf logs a warning.
func (l *listener) Warnf(f string, v ...any) { l.log.Warn("nats server", "said", fmt.Sprintf(f, v...)) }

// Errorf logs an error.
func (l *listener) Errorf(f string, v ...any) {
	l.log.Error("nats server", "said", fmt.Sprintf(f, v...))
}

// Fatalf logs an error and keeps it for whoever started the server.
func (l *listener) Fatalf(f string, v ...any) {
	said := fmt.Sprintf(f, v...)
	l.log.Error("nats server", "said", said)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = errors.New(said)
	}
}

func (l *listener) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
