package agent

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

func TestALiveMountIsAttestedEveryFiveMinutes(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		tunnel.MaxTTL:   4 * time.Minute, // half of it would be seven and a half
		8 * time.Minute: 4 * time.Minute, 5 * time.Minute: 150 * time.Second, 10 * time.Second: 5 * time.Second,
		0: 50 * time.Millisecond, -time.Hour: 50 * time.Millisecond,
	} {
		if got := pause(left); got != want {
			t.Errorf("a credential with %s left is renewed after %s, want %s", left, got, want)
		}
	}
}
