package tunnel_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/tunnel"
)

func TestALineOfProgressIsReadWholeOrNotAtAll(t *testing.T) {
	for line, want := range map[string]tunnel.Progress{
		"epoch=3": {Epoch: 3},
		"loss=0.12 epoch=3 epochs=10\tsamples=50000 watts=212.5\r": {Epoch: 3, Epochs: 10, Metric: "loss", Micros: 120000,
			Samples: 50000, Milliwatts: 212500},
		"epoch=1 val/acc@1=-1e-3": {Epoch: 1, Metric: "val/acc@1", Micros: -1000},
	} {
		if got, err := tunnel.ParseProgress(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "epoch", "epoch=0", "epoch=-1", "epoch=1.5", "epoch=99999999999", "loss=0.1",
		"epoch=1 epoch=2", "epoch=1 loss=0.1 acc=0.2", "epoch=1 loss=NaN", "epoch=1 loss=Inf", "epoch=1 loss=1e300",
		"epoch=1 watts=-1", "epoch=1 watts=1e9", "epoch=1 samples=-5", "epoch=1 =3", "epoch=1 a\x1b[2J=3", "epoch=1 so",
		"epoch=1 " + strings.Repeat("m", 65) + "=1", "epoch=1 " + strings.Repeat(" ", 600)} {
		if got, err := tunnel.ParseProgress(line); err == nil || got != (tunnel.Progress{}) {
			t.Errorf("%q is progress: %+v", line, got)
		}
	}
}

func FuzzParseProgress(f *testing.F) {
	f.Add("epoch=3 epochs=10 samples=50000 watts=212.5 loss=0.12")
	f.Add("epoch=1 x=1e18")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := tunnel.ParseProgress(line)
		if err == nil && (p.Epoch < 1 || p.Epochs < 0 || p.Samples < 0 || p.Milliwatts < 0 ||
			p.Milliwatts > tunnel.MostMilliwatts || len(p.Metric) > tunnel.LongestMetric) {
			t.Errorf("%q: %+v", line, p)
		}
	})
}
