package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// space is where a node lives: the host's own network, or a network namespace
// with nothing but a loopback. All of it happens on one locked thread, which is
// in that namespace and never leaves it.
type space struct{ calls chan func() }

// enter makes the space. With namespaces it needs root.
func enter(namespaces bool) (*space, error) {
	if !namespaces {
		return &space{}, nil
	}
	s := &space{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		ready <- err
		if err != nil {
			return
		}
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return s, nil
}

// do runs f where the node lives.
func (s *space) do(f func()) {
	if s.calls == nil {
		f()
		return
	}
	done := make(chan struct{})
	s.calls <- func() { f(); close(done) }
	<-done
}

func (s *space) close() {
	if s.calls != nil {
		close(s.calls)
	}
}

func (s *space) listen(address string) (ln net.Listener, err error) {
	s.do(func() { ln, err = net.Listen("tcp", address) })
	return ln, err
}

// dial opens a connection to a port inside. The socket is made on the locked
// thread, so it belongs to the node's network.
func (s *space) dial(address string) (c net.Conn, err error) {
	if s.calls == nil {
		return net.Dial("tcp", address)
	}
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	var fd int
	s.do(func() {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		to := &unix.SockaddrInet4{Port: addr.Port}
		copy(to.Addr[:], addr.IP.To4())
		if err = unix.Connect(fd, to); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("dial node: %w", err)
	}
	f := os.NewFile(uintptr(fd), "node")
	defer f.Close()
	return net.FileConn(f)
}

// start starts the node's process inside. With namespaces it gets its own mounts
// and processes as well: when its first process ends, the kernel ends the rest.
func (s *space) start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.calls == nil {
		// Pdeathsig follows the thread that starts the process: give it one that stays.
		started := make(chan error)
		go func() {
			runtime.LockOSThread()
			started <- cmd.Start()
			select {}
		}()
		return <-started
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS // also makes the mounts private
	s.do(func() { err = cmd.Start() })
	return err
}

// loopbackUp brings lo up (netdevice(7)).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
