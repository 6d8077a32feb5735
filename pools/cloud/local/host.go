package local

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/pools"
	attest "github.com/burstctl/burstctl/residency/attest/local"
)

// Spec is what a host process is started with. It holds no secret, only the
// name of the file with one.
type Spec struct {
	Node       pools.Node     `json:"node"`
	UserData   pools.UserData `json:"user_data"`
	Namespaces bool           `json:"namespaces"`
	Lifeline   bool           `json:"lifeline"`
	KeyFile    string         `json:"key_file"`
	Dir        string         `json:"dir"`
}

// Boot is what a node is started with: its user data, and where its doors are.
type Boot struct {
	UserData pools.UserData `json:"user_data"`
	Metadata string         `json:"metadata"` // http://host:port
	Road     string         `json:"road"`     // host:port to listen on
	Scratch  string         `json:"scratch"`
	Root     bool           `json:"root"` // in namespaces of its own: may mount
}

// Host runs one node: it holds its doors open, starts it, and ends it with its
// lease, with the lifeline, or when told to. NodeCommand is the node's argv; the
// boot file's path is appended.
func Host(ctx context.Context, specPath string, key ed25519.PrivateKey, spec Spec, nodeCommand []string) error {
	ctx, cancel := context.WithDeadline(ctx, spec.Node.Expires) // the dead-man switch comes first
	defer cancel()
	if spec.Lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	h := &host{spec: spec, key: key, dir: filepath.Dir(specPath)}
	return h.run(ctx, nodeCommand)
}

// ReadSpec reads a host's spec and the key it names.
func ReadSpec(path string, key func(string) (ed25519.PrivateKey, error)) (Spec, ed25519.PrivateKey, error) {
	var s Spec
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, nil, fmt.Errorf("read spec: %w", err)
	}
	k, err := key(s.KeyFile)
	return s, k, err
}

type host struct {
	spec Spec
	key  ed25519.PrivateKey
	dir  string
}

// run opens the doors and runs the node between them.
func (h *host) run(ctx context.Context, nodeCommand []string) error {
	space, err := enter(h.spec.Namespaces)
	if err != nil {
		return err
	}
	defer space.close()
	road := "127.0.0.1:7443"
	if !h.spec.Namespaces {
		if road, err = freePort(); err != nil {
			return err
		}
	}
	control, err := space.listen("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open door to control endpoint: %w", err)
	}
	metadata, err := space.listen("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open metadata service: %w", err)
	}
	way, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open way in: %w", err)
	}
	go splice(ctx, control, func() (net.Conn, error) { return net.Dial("tcp", h.spec.UserData.Control) })
	go splice(ctx, way, func() (net.Conn, error) { return space.dial(road) })
	srv := &http.Server{Handler: h.metadata(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(metadata) }()
	defer srv.Close()
	data := h.spec.UserData
	data.Control = control.Addr().String()
	boot := Boot{UserData: data, Metadata: "http://" + metadata.Addr().String(), Road: road,
		Scratch: filepath.Join(h.dir, "scratch"), Root: h.spec.Namespaces}
	cmd, err := h.node(ctx, space, boot, nodeCommand)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "reach.new"), []byte(way.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(h.dir, "reach.new"), filepath.Join(h.dir, "reach")); err != nil {
		return err
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// node starts the node process.
func (h *host) node(ctx context.Context, s *space, boot Boot, argv []string) (*exec.Cmd, error) {
	if err := os.MkdirAll(boot.Scratch, 0o700); err != nil {
		return nil, err
	}
	b, err := json.Marshal(boot)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(h.dir, "boot.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, argv[0], append(slices.Clone(argv[1:]), path)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + boot.Scratch}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	return cmd, s.start(cmd)
}

// metadata is the provider's service on the node: identity documents that name
// this node's place and the key and nonce it was asked with.
func (h *host) metadata() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /identity", func(w http.ResponseWriter, r *http.Request) {
		at, q := h.spec.Node.At, r.URL.Query()
		e := attest.Sign(h.key, attest.Document{V: 1, Provider: at.Provider, Region: at.Region, Zone: at.Zone,
			Instance: h.spec.Node.ID, Nonce: q.Get("nonce"), NodeKey: q.Get("node_key"), Issued: time.Now()})
		_ = json.NewEncoder(w).Encode(e) // a node that went away needs no answer
	})
	return mux
}

// splice joins what comes in at ln to what dial opens.
func splice(ctx context.Context, ln net.Listener, dial func() (net.Conn, error)) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := dial()
			if err != nil {
				return
			}
			defer out.Close()
			go func() {
				_, _ = io.Copy(out, in)
				closeWrite(out)
			}()
			_, _ = io.Copy(in, out)
		}()
	}
}

// closeWrite passes on that one side has said all it had to say.
func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// freePort finds a loopback port for a node without a network of its own.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find port: %w", err)
	}
	return ln.Addr().String(), errors.Join(ln.Close())
}
