package cloudinit_test

import (
	"net"
	"os"
	"testing"
	"time"
)

// answering makes this binary one end of a connection: with one address it
// listens there, with two it connects from the first to the second.
const answering = "BURST_TEST_ANSWER"

func TestMain(m *testing.M) {
	if os.Getenv(answering) == "" {
		os.Exit(m.Run())
	}
	if len(os.Args) == 3 {
		from := &net.TCPAddr{IP: net.ParseIP(os.Args[1])}
		d := net.Dialer{LocalAddr: from, Timeout: 2 * time.Second}
		if _, err := d.Dial("tcp4", os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	ln, err := net.Listen("tcp4", os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	for {
		if _, err := ln.Accept(); err != nil {
			os.Exit(1)
		}
	}
}
