package busserver

import (
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
)

// T is what of a testing.TB is needed.
type T interface {
	TempDir() string
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// BeforeBubbles is called once, in TestMain, before any bubble begins.
//
// The server keeps a clock in a goroutine that waits on a channel of its
// package. Started by a bubble, that goroutine belongs to it, yet the channel
// does not, so it is never durably blocked and the bubble's time never
// advances. Started here, it stays outside.
func BeforeBubbles() { ats.Register() }

// InBubble starts a server with JetStream and no sockets, TLS or authority, to
// be reached through bus.Config.InProcess, and stops it when t ends. Ask for
// the stream in memory (bus.Config.InMemory): a fake day then takes a second.
// Close connections before the bubble's function returns.
func InBubble(t T) *Server {
	opts := base(filepath.Join(t.TempDir(), "jetstream"))
	opts.DontListen = true
	opts.SyncAlways = false
	s := &Server{resolver: &server.MemAccResolver{}}
	if err := s.run(opts, nil); err != nil {
		t.Fatalf("start NATS server in a bubble: %v", err)
		return nil
	}
	t.Cleanup(s.Shutdown)
	return s
}
