//go:build cgo

package nvml

import (
	"strings"
	"testing"
	"time"

	lib "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"github.com/burstctl/burstctl/pools/onprem"
)

// host sets what the library's own DGX leaves unset: readings that a test steers.
type host struct {
	*server.Server
	util   uint32
	energy uint64
	newest uint64 // microseconds; 0: the chip keeps no samples
	xids   []lib.EventData
	lost   int // index of a lost GPU, -1 for none
}

func newHost(s *server.Server) *host {
	h := &host{Server: s, util: 97, energy: 1, lost: -1}
	h.EventSetCreateFunc = func() (lib.EventSet, lib.Return) {
		return &mock.EventSet{
			WaitFunc: func(uint32) (lib.EventData, lib.Return) {
				if len(h.xids) == 0 {
					return lib.EventData{}, lib.ERROR_TIMEOUT
				}
				e := h.xids[0]
				h.xids = h.xids[1:]
				return e, lib.SUCCESS
			},
			FreeFunc: func() lib.Return { return lib.SUCCESS },
		}, lib.SUCCESS
	}
	for _, d := range s.Devices {
		h.steer(d.(*server.Device))
	}
	return h
}

// steer sets the readings of one GPU.
func (h *host) steer(d *server.Device) {
	d.GetUtilizationRatesFunc = func() (lib.Utilization, lib.Return) {
		if i, _ := d.GetIndex(); i == h.lost {
			return lib.Utilization{}, lib.ERROR_GPU_IS_LOST
		}
		return lib.Utilization{Gpu: h.util}, lib.SUCCESS
	}
	d.RegisterEventsFunc = func(uint64, lib.EventSet) lib.Return { return lib.SUCCESS }
	d.GetPowerUsageFunc = func() (uint32, lib.Return) { return 390000, lib.SUCCESS }
	d.GetTotalEnergyConsumptionFunc = func() (uint64, lib.Return) { return h.energy, lib.SUCCESS }
	d.GetTemperatureFunc = func(lib.TemperatureSensors) (uint32, lib.Return) { return 66, lib.SUCCESS }
	d.GetClockInfoFunc = func(lib.ClockType) (uint32, lib.Return) { return 0, lib.ERROR_NOT_SUPPORTED }
	d.GetCurrentClocksThrottleReasonsFunc = func() (uint64, lib.Return) { return 0, lib.SUCCESS }
	d.GetComputeRunningProcessesFunc = func() ([]lib.ProcessInfo, lib.Return) {
		return make([]lib.ProcessInfo, 2), lib.SUCCESS
	}
	d.GetSamplesFunc = func(_ lib.SamplingType, seen uint64) (lib.ValueType, []lib.Sample, lib.Return) {
		switch {
		case h.newest == 0:
			return 0, nil, lib.ERROR_NOT_SUPPORTED
		case h.newest <= seen:
			return 0, nil, lib.ERROR_NOT_FOUND
		}
		return lib.VALUE_TYPE_UNSIGNED_INT, []lib.Sample{
			{TimeStamp: h.newest - 1, SampleValue: [8]byte{80}},
			{TimeStamp: h.newest, SampleValue: [8]byte{90}},
			{TimeStamp: h.newest, SampleValue: [8]byte{200}}, // no percentage
		}, lib.SUCCESS
	}
}

func TestTheLibrarysOwnDGXsAreRead(t *testing.T) {
	for name, s := range map[string]*server.Server{"A100": dgxa100.New(), "H100": dgxh100.New()} {
		t.Run(name, func(t *testing.T) {
			h := newHost(s)
			r := newReader(h, time.Second)
			if _, err := r.open(); err != nil {
				t.Fatal(err)
			}
			defer r.close()
			now := time.Now()
			round := r.round(now)
			if len(round) != 8 {
				t.Fatalf("%d GPUs, want 8", len(round))
			}
			for i, got := range round {
				uuid, _ := s.Devices[i].GetUUID()
				m, _ := s.Devices[i].GetMemoryInfo()
				want := onprem.Sample{
					UUID: uuid, Index: i, At: now, Utilisation: 97, MemoryUsedMiB: int64(m.Used >> 20),
					MemoryTotalMiB: int64(m.Total >> 20), PowerMilliwatt: 390000, EnergyMJ: 1, TempC: 66,
					Processes: 2, State: onprem.OK,
				}
				if got != want {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func TestTheDriversOwnTimeDatesASample(t *testing.T) {
	h := newHost(dgxh100.New())
	r := newReader(h, time.Second)
	if _, err := r.open(); err != nil {
		t.Fatal(err)
	}
	now := time.UnixMicro(1_800_000_000_000_000)
	h.newest = uint64(now.UnixMicro()) - 100_000
	if s := r.round(now)[0]; !s.At.Equal(now.Add(-100*time.Millisecond)) || s.Utilisation != 85 || s.State != onprem.OK {
		t.Errorf("the newest sample dates it, their mean is its utilisation: %+v", s)
	}
	first := now.Add(-100 * time.Millisecond)
	h.energy++
	if s := r.round(now.Add(500 * time.Millisecond))[0]; !s.At.Equal(first) || s.State != onprem.OK {
		t.Errorf("without a new sample the time does not advance: %+v", s)
	}
	h.energy++
	if s := r.round(now.Add(1100 * time.Millisecond))[0]; !s.At.Equal(first) || s.State != onprem.Stale {
		t.Errorf("and after a while it is stale: %+v", s)
	}
}

func TestSamplesInAnotherClockAreDatedByTheReading(t *testing.T) {
	h := newHost(dgxh100.New())
	h.newest = 5_000_000 // five seconds after the host's start
	r := newReader(h, time.Second)
	if _, err := r.open(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if s := r.round(now)[0]; !s.At.Equal(now) || s.State != onprem.OK || s.Utilisation != 97 {
		t.Errorf("got %+v", s)
	}
	now = now.Add(1100 * time.Millisecond)
	if s := r.round(now)[0]; s.State != onprem.Stale || !strings.Contains(s.Err, "energy counter") {
		t.Errorf("a counter that stands still is stale: %+v", s)
	}
}

func TestALostGPUAndAnXidAreReported(t *testing.T) {
	h := newHost(dgxa100.New())
	r := newReader(h, time.Second)
	if _, err := r.open(); err != nil {
		t.Fatal(err)
	}
	h.lost = 5
	h.xids = []lib.EventData{{Device: h.Devices[5], EventType: lib.EventTypeXidCriticalError, EventData: 79}}
	round := r.round(time.Now())
	if s := round[5]; s.State != onprem.Lost || s.XID != 79 || !s.At.IsZero() {
		t.Errorf("got %+v", s)
	}
	if s := round[4]; s.State != onprem.OK || s.XID != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestWhatALibraryLacksIsNotCalled(t *testing.T) {
	h := newHost(dgxa100.New())
	h.LookupSymbolFunc = func(string) error { return ErrNoLibrary }
	for _, d := range h.Devices {
		d.(*server.Device).GetSamplesFunc = nil // calling it would panic
		d.(*server.Device).GetPowerUsageFunc = nil
		d.(*server.Device).GetTotalEnergyConsumptionFunc = nil
		d.(*server.Device).GetTemperatureFunc = nil
		d.(*server.Device).GetComputeRunningProcessesFunc = nil
		d.(*server.Device).GetCurrentClocksThrottleReasonsFunc = nil
		d.(*server.Device).GetClockInfoFunc = nil
		d.(*server.Device).RegisterEventsFunc = nil
	}
	r := newReader(h, time.Second)
	if _, err := r.open(); err != nil {
		t.Fatal(err)
	}
	if s := r.round(time.Now())[0]; s.State != onprem.OK || s.Utilisation != 97 {
		t.Errorf("got %+v", s)
	}
}
