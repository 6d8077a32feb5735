package local

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// Boot is what a node is started with: the file behind its NodeCommand. Made by
// its host; it holds no secret.
type Boot struct {
	UserData pools.UserData `json:"user_data"` // its control address is the node's door
	Metadata string         `json:"metadata"`  // http://host:port of the metadata service
	Road     string         `json:"road"`      // host:port to listen on for the edge
	Scratch  string         `json:"scratch"`   // a directory of the node's own, gone with it
	Root     bool           `json:"root"`      // in namespaces of its own, so it may mount
}

// host is one node's host process.
type host struct {
	asked
	dir   dir
	key   ed25519.PrivateKey
	lock  *os.File
	space *space
	way   net.Listener // the door in, on the host's side
	why   string       // what ended the node
}

// Host is the life of a host process: it opens the doors of the node that is
// asked for in the file, starts it, and ends it when it expires, when ctx or
// this process is told to end, or with the lifeline. It returns when nothing of
// the node is left. A host that comes second, or too late, leaves at once.
func Host(ctx context.Context, file string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h := &host{dir: dir(filepath.Dir(filepath.Dir(file)))}
	if err := read(file, &h.asked); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	if h.Lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel(errors.New("the lifeline was cut"))
		}()
	}
	go expire(ctx, cancel, h.Launch.Expires)
	if err := h.claim(file); err != nil {
		return fmt.Errorf("host %s: %w", h.ID, err)
	}
	defer release(h.lock)
	if err := h.run(ctx); err != nil {
		return fmt.Errorf("host %s: %w", h.ID, err)
	}
	return nil
}

// expire is the dead-man switch. It asks both clocks: the timer's and the wall's.
func expire(ctx context.Context, cancel context.CancelCauseFunc, at time.Time) {
	end := time.NewTimer(time.Until(at))
	defer end.Stop()
	wall := time.NewTicker(time.Second)
	defer wall.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			cancel(errors.New("expired"))
		case now := <-wall.C:
			if !now.Round(0).Before(at) {
				cancel(errors.New("expired"))
			}
		}
	}
}

// claim takes the node's lock, once and for ever: a node that is there, or was,
// is not made again, and one that was asked for long ago is not made at all.
func (h *host) claim(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	ok, err := lock(f)
	if err == nil && !ok {
		err = errors.New("another host holds the node")
	}
	for _, path := range []string{h.dir.nodeFile(h.ID), h.dir.goneFile(h.ID)} {
		if _, serr := os.Stat(path); err == nil && !errors.Is(serr, fs.ErrNotExist) {
			err = errors.New("the node has been made before")
		}
	}
	if info, serr := f.Stat(); err == nil && (serr != nil || time.Since(info.ModTime()) > upWait) {
		err = errors.New("asked for too long ago")
	}
	if err != nil {
		f.Close()
		return err
	}
	h.lock = f
	return nil
}

// run opens the doors, enters the record, and keeps the node until its end.
func (h *host) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes the doors
	if h.key, err = readKey(h.KeyFile); err != nil {
		return err
	}
	var metadata net.Listener
	if h.space, metadata, err = newSpace(h.Namespaces); err != nil {
		return err
	}
	boot, err := h.open(ctx, metadata)
	if err != nil {
		return fmt.Errorf("open doors: %w", err)
	}
	if err := os.MkdirAll(boot.Scratch, 0o700); err != nil {
		return err
	}
	if err := save(h.dir.bootFile(h.ID), boot, os.Rename); err != nil {
		return err
	}
	now := time.Now().UTC()
	r := record{ID: h.ID, Token: h.Token, Launch: h.Launch, PID: os.Getpid(), Start: started(os.Getpid()),
		Reach: h.way.Addr().String(), Launched: now, Running: now.Add(h.Boot)}
	if err := save(h.dir.nodeFile(h.ID), r, os.Link); err != nil {
		return err
	}
	err = h.keep(ctx)
	r.Ended, r.Why = time.Now().UTC(), h.why // it is buried by whoever sees that nobody holds it
	return errors.Join(err, os.RemoveAll(boot.Scratch), save(h.dir.nodeFile(h.ID), r, os.Rename))
}

// open opens the doors: control and metadata inside, the road outside.
func (h *host) open(ctx context.Context, metadata net.Listener) (Boot, error) {
	control, err := h.space.listen("0")
	if err != nil {
		return Boot{}, err
	}
	if h.way, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return Boot{}, err
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	go carry(ctx, control, func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", h.Launch.UserData.Control)
	})
	go carry(ctx, h.way, func(ctx context.Context) (net.Conn, error) { return h.space.dial(ctx, roadPort) })
	data := h.Launch.UserData
	data.Control = control.Addr().String()
	srv := &http.Server{Handler: h.metadata(data), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = srv.Serve(metadata) }() // ends when it is closed
	context.AfterFunc(ctx, func() { srv.Close() })
	return Boot{UserData: data, Metadata: "http://" + metadata.Addr().String(),
		Road: fmt.Sprintf("%s:%d", h.space.ip, roadPort), Scratch: h.dir.scratch(h.ID), Root: h.Namespaces}, nil
}

// keep boots the node and waits for its end, whoever brings it about.
func (h *host) keep(ctx context.Context) error {
	boot := time.NewTimer(h.Boot)
	defer boot.Stop()
	select {
	case <-ctx.Done():
		h.why = context.Cause(ctx).Error()
		return nil
	case <-boot.C:
	}
	argv := append(slices.Clone(h.NodeCommand), h.dir.bootFile(h.ID))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir.scratch(h.ID), os.Stdout, os.Stderr
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + cmd.Dir, "TMPDIR=" + cmd.Dir}, h.Env...)
	cmd.ExtraFiles = []*os.File{h.lock} // whatever the node leaves behind still holds it
	if err := h.space.start(cmd); err != nil {
		h.why = "it could not be started"
		return fmt.Errorf("start node: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		h.why = strings.TrimSpace("it ended by itself " + said(err))
	case <-ctx.Done():
		h.why = context.Cause(ctx).Error()
		end(cmd, ended)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
	return nil
}

// end asks the node to end, and ends it when it has not done so in time.
func end(cmd *exec.Cmd, ended <-chan error) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(stopWait)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		_ = cmd.Process.Kill()
		<-ended
	}
}

// said is how a process ended badly, or "".
func said(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}
