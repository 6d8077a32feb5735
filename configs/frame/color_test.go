package frame

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a real pseudo-terminal.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if os.Getenv("BURST_REAL") != "" {
			t.Fatal(err)
		}
		t.Skip("no pseudo-terminal here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave
}

func TestATerminalHasColourUnlessItIsRefused(t *testing.T) {
	tty := terminal(t)
	for _, tt := range []struct {
		name, variable, value string
		want                  bool
	}{
		{"plainly", "TERM", "xterm", true},
		{"dumb", "TERM", "dumb", false},
		{"CLICOLOR 0", "CLICOLOR", "0", false},
		{"CLICOLOR 1", "CLICOLOR", "1", true},
		{"NO_COLOR", "NO_COLOR", "1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range []string{"NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"} {
				t.Setenv(v, "")
			}
			t.Setenv("TERM", "xterm")
			t.Setenv(tt.variable, tt.value)
			if got := Color(tty); got != tt.want {
				t.Errorf("Color = %v", got)
			}
		})
	}
}
