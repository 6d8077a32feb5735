package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/burstctl/burstctl/pools/cloud/netns"
)

// space is where a node lives: a network namespace with nothing but lo, or the
// network of the host. Whatever must happen inside happens on one thread, which
// is in that namespace, starts the node, and never leaves; its end would be the
// node's, as Pdeathsig follows the thread.
type space struct {
	own   bool
	ip    string // what the node's doors listen on
	calls chan func()
}

// Isolates reports whether this process may give nodes namespaces of their
// own, by trying it on a thread that is then thrown away.
func Isolates() bool {
	tried := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		tried <- errors.Join(unix.Unshare(unix.CLONE_NEWNET), unix.Unshare(unix.CLONE_NEWNS))
	}()
	return <-tried == nil
}

// newSpace makes a space and opens the metadata service's listener in it.
func newSpace(own bool) (s *space, metadata net.Listener, err error) {
	s = &space{own: own, ip: "127.0.0.1", calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if own {
			err = netns.Enter()
		}
		ready <- err
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, nil, fmt.Errorf("make network namespace: %w", err)
	}
	if own {
		metadata, err = s.listen(metadataPort)
		return s, metadata, err
	}
	metadata, err = s.settle()
	return s, metadata, err
}

// settle finds a node without a network of its own an address of its own in
// 127.0.0.0/8. Whoever listens on its metadata port has it.
func (s *space) settle() (metadata net.Listener, err error) {
	for range 64 {
		var b [3]byte
		_, _ = rand.Read(b[:]) // never fails
		s.ip = fmt.Sprintf("127.%d.%d.%d", 1+b[0]%254, b[1], 1+b[2]%254)
		if metadata, err = s.listen(metadataPort); err == nil {
			return metadata, nil
		}
	}
	return nil, fmt.Errorf("find a loopback address: %w", err)
}

// do runs f on the thread inside, and waits for it.
func (s *space) do(f func()) {
	done := make(chan struct{})
	s.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// listen opens a listener inside.
func (s *space) listen(port string) (ln net.Listener, err error) {
	s.do(func() { ln, err = net.Listen("tcp4", net.JoinHostPort(s.ip, port)) })
	return ln, err
}

// dial connects to a port of the node. The socket is made on the thread inside,
// so it belongs to the node's network; connecting takes no time on a loopback.
func (s *space) dial(ctx context.Context, port int) (net.Conn, error) {
	var fd int
	var err error
	s.do(func() {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		to := &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(s.ip).To4())}
		if err = unix.Connect(fd, to); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	})
	if err == nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), unix.Close(fd))
	}
	if err != nil {
		return nil, fmt.Errorf("dial node: %w", err)
	}
	f := os.NewFile(uintptr(fd), "node")
	defer f.Close()
	return net.FileConn(f)
}

// start starts the node's process inside. It dies with the thread that starts
// it, and so with the host. In a space of its own it also gets its own mounts
// and process numbers: the kernel ends the rest with its first process.
func (s *space) start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if s.own {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS // makes the mounts private, too
	}
	s.do(func() { err = cmd.Start() })
	return err
}
