// Package netns makes network namespaces that hold nothing but loopback.
//
// # What it is for
//
// A job that may not reach a metadata service, a name server or a neighbour
// gets a network in which there is none of them. The local driver's nodes live
// in one each; on every node the job does.
//
// # Non-goals
//
// No addresses, routes or links: what is alone stays alone.
package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrDenied: this process may not make namespaces (CAP_SYS_ADMIN). The thread is
// where it was.
var ErrDenied = errors.New("not allowed to make a network namespace")

// Enter moves the calling thread into a network of its own, with loopback up.
// The caller has locked its goroutine to the thread and never unlocks it: the
// way back is the thread's end. Processes it starts are in there too. After an
// error other than [ErrDenied] the thread is of no use to anyone.
// Source: unshare(2), network_namespaces(7).
func Enter() error {
	err := unix.Unshare(unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("enter network namespace: %w", ErrDenied)
	}
	if err == nil {
		err = loopbackUp()
	}
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
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
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
