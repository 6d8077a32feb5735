//go:build cgo

package nvml

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lib "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/burstctl/burstctl/pools/onprem"
)

// reader asks the library. It is kept by one goroutine, but for calling.
type reader struct {
	lib    lib.Interface
	frozen time.Duration
	has    map[string]bool // optional functions of this library; calling one it lacks ends the process
	gpus   []*gpu
	events lib.EventSet // nil where Xid errors cannot be watched
	call   atomic.Pointer[call]
}

// call is the library call in progress.
type call struct {
	name  string
	since time.Time
}

// gpu is what is remembered of one GPU between rounds.
type gpu struct {
	index  int
	uuid   string
	dev    lib.Device // nil until a handle could be had
	good   time.Time  // the driver's time of the last good sample
	dater  dater
	energy uint64    // last total energy, in millijoules
	moved  time.Time // when it last moved
	xid    uint64
}

// newReader makes a reader that has not opened its library.
func newReader(l lib.Interface, frozen time.Duration) *reader {
	return &reader{lib: l, frozen: frozen, has: map[string]bool{}}
}

// enter notes the call that comes next; leave that none is in progress.
func (r *reader) enter(name string, index int) {
	r.call.Store(&call{fmt.Sprintf("%s of GPU %d", name, index), time.Now()})
}
func (r *reader) leave() { r.call.Store(nil) }

// calling gives the call in progress, "" for none. Any goroutine may ask.
func (r *reader) calling() (string, time.Time) {
	c := r.call.Load()
	if c == nil {
		return "", time.Time{}
	}
	return c.name, c.since
}

// optional are the functions that older libraries lack and a round can do without.
var optional = []string{
	"nvmlDeviceGetSamples", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage",
	"nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo", "nvmlDeviceGetComputeRunningProcesses",
	"nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlEventSetCreate", "nvmlDeviceRegisterEvents",
}

// open loads the library and finds the GPUs. missing says that there is no library.
func (r *reader) open() (missing bool, err error) {
	r.call.Store(&call{"nvmlInit", time.Now()})
	defer r.leave()
	if ret := r.lib.Init(); ret != lib.SUCCESS {
		return ret == lib.ERROR_LIBRARY_NOT_FOUND, fmt.Errorf("open the library: %s", r.word(ret))
	}
	for _, f := range optional {
		r.has[f] = r.lib.Extensions().LookupSymbol(f) == nil
	}
	n, ret := r.lib.DeviceGetCount()
	if ret != lib.SUCCESS {
		return false, fmt.Errorf("count GPUs: %s", r.word(ret))
	}
	if n == 0 {
		return false, errors.New("count GPUs: the driver sees none")
	}
	if r.has["nvmlEventSetCreate"] && r.has["nvmlDeviceRegisterEvents"] {
		if set, ret := r.lib.EventSetCreate(); ret == lib.SUCCESS {
			r.events = set
		}
	}
	for i := range n {
		g := &gpu{index: i, uuid: fmt.Sprintf("GPU-unknown-%d", i)}
		r.gpus = append(r.gpus, g)
		_ = r.find(g) // asked again each round
	}
	return false, nil
}

// find gets the handle and the name of a GPU that has none yet.
func (r *reader) find(g *gpu) lib.Return {
	r.enter("nvmlDeviceGetHandleByIndex", g.index)
	dev, ret := r.lib.DeviceGetHandleByIndex(g.index)
	if ret != lib.SUCCESS {
		return ret
	}
	r.enter("nvmlDeviceGetUUID", g.index)
	uuid, ret := dev.GetUUID()
	if ret != lib.SUCCESS {
		return ret
	}
	g.dev, g.uuid = dev, uuid
	if r.events != nil {
		_ = dev.RegisterEvents(lib.EventTypeXidCriticalError, r.events) // not every chip can
	}
	return lib.SUCCESS
}

// close gives the library back.
func (r *reader) close() {
	r.call.Store(&call{"nvmlShutdown", time.Now()})
	defer r.leave()
	if r.events != nil {
		_ = r.events.Free()
	}
	_ = r.lib.Shutdown()
}

// round samples every GPU. now is the wall's time of the reading.
func (r *reader) round(now time.Time) []onprem.Sample {
	defer r.leave()
	r.xids()
	round := make([]onprem.Sample, len(r.gpus))
	for i, g := range r.gpus {
		round[i] = r.sample(g, now)
	}
	return round
}

// xids takes the Xid errors that came since the last round; it never waits.
func (r *reader) xids() {
	if r.events == nil {
		return
	}
	for range 64 { // a GPU that fails can say so thousands of times
		r.call.Store(&call{"nvmlEventSetWait", time.Now()})
		e, ret := r.events.Wait(0)
		if ret != lib.SUCCESS {
			return
		}
		uuid, ret := e.Device.GetUUID()
		for _, g := range r.gpus {
			if ret == lib.SUCCESS && g.uuid == uuid && e.EventType == lib.EventTypeXidCriticalError {
				g.xid = e.EventData
			}
		}
	}
}

// word says what a return means.
func (r *reader) word(ret lib.Return) string { return fmt.Sprintf("%v (NVML %d)", ret, int(ret)) }
