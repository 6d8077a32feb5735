// Package busserver is the NATS server end of the bus: who may connect and say
// what, as operator, account and user JWTs, and a server to embed.
//
// # Authority
//
// [Init] makes, in one directory, an operator, the system account that NATS
// demands, the account BURST and its users: the controller, and one per edge.
// A user is a JWT over a public key with its subjects written in, so a server
// needs no list of users. An edge may publish burst.<site>.> and hear its own
// inbox; the controller may make, read and acknowledge the one stream, and
// publish nothing a site could have said. Neither may delete or purge.
//
//	keys/       seeds that sign JWTs, 0600; move them off the server's machine
//	creds/      what each user connects with, 0600; hand each to its owner alone
//	users/      the users' JWTs, public; needed to revoke them
//	*.jwt       operator and accounts, public
//	authority.conf  what a server needs of them; written anew by [Revoke]
//	nats.conf   for nats-server -c; written once, then the operator's own
//
// [Revoke] enters a user in the account's JWT; a server drops its connections
// once it reads that: [Server.Reload] here, nats-server --signal reload there.
// Every user also expires, after [DefaultTTL] unless told otherwise.
//
// # Two servers, one authority
//
// [Start] embeds a server for the demo and for small sites: TLS 1.3, JWT,
// JetStream in files synced at every write, loopback only. An external
// nats-server of the version in go.mod reads nats.conf and is the same.
//
// # In a synctest bubble
//
// [InBubble] runs the same server without sockets, and without authority. One
// trick is needed, see [BeforeBubbles].
//
// *Non-goals*: clusters and leaf nodes are the operator's nats.conf; TLS
// certificates are made elsewhere; nothing here is called by an edge.
package busserver

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/burstctl/burstctl/pools/bus"
)

// storeLimit bounds what JetStream may keep on disk, for all streams together.
const storeLimit = 4 << 30

// Options say which server to embed. The zero Options start nothing.
type Options struct {
	Dir string // as [Init] left it; the streams are kept below it
	// TLS holds the server's certificate. Spoken as 1.3 at least. With a
	// ClientAuth set, clients need a certificate besides their credentials.
	TLS *tls.Config
	// Listen is a loopback address, port 0 for any. Empty serves this process
	// only, and needs no TLS.
	Listen string
	Logger *slog.Logger // hears warnings and errors; nil is silent
}

// Server is an embedded NATS server. Made by [Start] and [InBubble]. It is a
// nats.InProcessConnProvider.
type Server struct {
	ns       *server.Server
	dir      string
	resolver *server.MemAccResolver
}

// Start runs a server on the authority in o.Dir until [Server.Shutdown]. A busy
// port, a locked or full store or a broken authority is an error.
func Start(o Options) (*Server, error) {
	s := &Server{dir: o.Dir, resolver: &server.MemAccResolver{}}
	opts, err := s.options(o)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	if err := s.run(opts, o.Logger); err != nil {
		return nil, fmt.Errorf("start NATS server on %s: %w", cmp.Or(o.Listen, "this process only"), err)
	}
	return s, nil
}

func (s *Server) options(o Options) (*server.Options, error) {
	a, err := open(o.Dir)
	if err != nil {
		return nil, err
	}
	operator, err := jwt.DecodeOperatorClaims(a.operator)
	if err != nil {
		return nil, fmt.Errorf("read operator: %w", err)
	}
	if err := errors.Join(s.resolver.Store(a.systemKey, a.system), s.resolver.Store(a.burstKey, a.burst)); err != nil {
		return nil, err
	}
	opts := base(filepath.Join(o.Dir, "jetstream"))
	opts.TrustedOperators = []*jwt.OperatorClaims{operator}
	opts.SystemAccount = a.systemKey
	opts.AccountResolver = s.resolver
	if o.Listen == "" {
		opts.DontListen = true
		return opts, nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: an embedded server binds a loopback address only", o.Listen)
	}
	if o.TLS == nil {
		return nil, errors.New("no TLS is given, and plain text is not spoken")
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	opts.TLSConfig = o.TLS.Clone()
	opts.TLSConfig.MinVersion = tls.VersionTLS13
	opts.TLSVerify = o.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	opts.TLSTimeout = 5
	return opts, nil
}

// base is what every embedded server has in common.
func base(store string) *server.Options {
	return &server.Options{
		ServerName: "burst", JetStream: true, StoreDir: store, JetStreamMaxStore: storeLimit, JetStreamMaxMemory: 64 << 20,
		SyncAlways: true, MaxPayload: 2 * bus.MaxBytes, NoSigs: true, NoLog: true,
	}
}

func (s *Server) run(opts *server.Options, log *slog.Logger) error {
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	heard := &listener{log: cmp.Or(log, slog.New(slog.DiscardHandler))}
	ns.SetLoggerV2(heard, false, false, false)
	s.ns = ns
	ns.Start()
	if heard.fatal() != nil || !ns.ReadyForConnections(10*time.Second) || !ns.JetStreamEnabled() {
		s.Shutdown()
		return cmp.Or(heard.fatal(), errors.New("not ready after 10 s"))
	}
	return nil
}

// URL is where clients connect: tls://127.0.0.1:port. Empty if only this process can.
func (s *Server) URL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return "tls://" + s.ns.Addr().String()
}

// InProcessConn connects within this process, without TLS. For nats.InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Shutdown closes all connections and returns when the store is closed.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// Reload reads the account again, so that revoked users are dropped now.
func (s *Server) Reload() error {
	a, err := open(s.dir)
	if err != nil {
		return fmt.Errorf("reload authority: %w", err)
	}
	claims, err := jwt.DecodeAccountClaims(a.burst)
	if err != nil {
		return fmt.Errorf("reload authority: %w", err)
	}
	if err := s.resolver.Store(a.burstKey, a.burst); err != nil {
		return fmt.Errorf("reload authority: %w", err)
	}
	acc, err := s.ns.LookupAccount(a.burstKey)
	if err != nil {
		return fmt.Errorf("reload authority: %w", err)
	}
	s.ns.UpdateAccountClaims(acc, claims)
	return nil
}
