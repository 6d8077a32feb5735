//go:build cgo

package nvml

import (
	"encoding/binary"
	"fmt"
	"time"

	lib "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/burstctl/burstctl/pools/onprem"
)

// sample reads one GPU. Utilisation and memory are needed: an error in either makes
// the sample failed. What else a chip does not have is left at zero.
func (r *reader) sample(g *gpu, now time.Time) onprem.Sample {
	if g.dev == nil {
		if ret := r.find(g); ret != lib.SUCCESS {
			return r.bad(g, "find the GPU", ret)
		}
	}
	s := onprem.Sample{UUID: g.uuid, Index: g.index, At: g.good, XID: g.xid, State: onprem.OK}
	r.enter("nvmlDeviceGetUtilizationRates", g.index)
	u, ret := g.dev.GetUtilizationRates()
	if ret != lib.SUCCESS {
		return r.bad(g, "read utilisation", ret)
	}
	r.enter("nvmlDeviceGetMemoryInfo", g.index)
	m, ret := g.dev.GetMemoryInfo()
	if ret != lib.SUCCESS {
		return r.bad(g, "read memory", ret)
	}
	s.Utilisation = int(u.Gpu)
	s.MemoryUsedMiB, s.MemoryTotalMiB = int64(m.Used>>20), int64(m.Total>>20)
	if what, ret := r.rest(g, &s); gone(ret) {
		return r.bad(g, what, ret)
	}
	at, why, ret := r.date(g, &s, now)
	switch {
	case gone(ret):
		return r.bad(g, "read samples", ret)
	case why == "":
		why = g.still(s.EnergyMJ, now, r.frozen)
	}
	if why != "" {
		s.State, s.Err = onprem.Stale, why
		return s
	}
	g.good, s.At = at, at
	return s
}

// gone says whether a return means that the GPU is lost until someone resets it.
func gone(ret lib.Return) bool {
	return ret == lib.ERROR_GPU_IS_LOST || ret == lib.ERROR_RESET_REQUIRED
}

// bad makes the sample of a GPU that could not be read.
func (r *reader) bad(g *gpu, doing string, ret lib.Return) onprem.Sample {
	s := onprem.Sample{UUID: g.uuid, Index: g.index, At: g.good, XID: g.xid, State: onprem.Failed}
	if gone(ret) {
		s.State = onprem.Lost
	}
	s.Err = fmt.Sprintf("%s: %s", doing, r.word(ret))
	return s
}

// rest reads what a sample can do without. It gives what it was doing when the GPU
// was gone, and a return that is not gone otherwise.
func (r *reader) rest(g *gpu, s *onprem.Sample) (string, lib.Return) {
	for _, f := range []struct {
		name string
		read func() lib.Return
	}{
		{"nvmlDeviceGetPowerUsage", func() lib.Return { return set(&s.PowerMilliwatt, g.dev.GetPowerUsage) }},
		{"nvmlDeviceGetTotalEnergyConsumption", func() lib.Return {
			return set(&s.EnergyMJ, g.dev.GetTotalEnergyConsumption)
		}},
		{"nvmlDeviceGetTemperature", func() lib.Return {
			return set(&s.TempC, func() (uint32, lib.Return) { return g.dev.GetTemperature(lib.TEMPERATURE_GPU) })
		}},
		{"nvmlDeviceGetClockInfo", func() lib.Return {
			return set(&s.SMClockMHz, func() (uint32, lib.Return) { return g.dev.GetClockInfo(lib.CLOCK_SM) })
		}},
		{"nvmlDeviceGetCurrentClocksThrottleReasons", func() lib.Return {
			return set(&s.Throttle, g.dev.GetCurrentClocksThrottleReasons)
		}},
		{"nvmlDeviceGetComputeRunningProcesses", func() lib.Return {
			return set(&s.Processes, func() (int, lib.Return) {
				p, ret := g.dev.GetComputeRunningProcesses()
				return len(p), ret
			})
		}},
	} {
		if !r.has[f.name] {
			continue
		}
		r.enter(f.name, g.index)
		if ret := f.read(); gone(ret) {
			return f.name, ret
		}
	}
	return "", lib.SUCCESS
}

// number is what the library counts in, and what samples do.
type number interface {
	~int | ~int64 | ~uint32 | ~uint64
}

// set stores a reading that succeeded.
func set[T, F number](to *T, read func() (F, lib.Return)) lib.Return {
	v, ret := read()
	if ret == lib.SUCCESS {
		*to = T(v)
	}
	return ret
}

// still says why an energy counter shows that the driver repeats itself. A counter of
// zero is one that the chip does not have.
func (g *gpu) still(energy uint64, now time.Time, frozen time.Duration) string {
	if energy == 0 || energy != g.energy || now.Before(g.moved) {
		g.energy, g.moved = energy, now
		return ""
	}
	if d := now.Sub(g.moved); d > frozen {
		return fmt.Sprintf("the energy counter has stood still for %s", d.Round(100*time.Millisecond))
	}
	return ""
}

// dater remembers the driver's own utilisation samples of one GPU.
type dater struct {
	seen uint64    // newest timestamp, in microseconds since 1970
	got  time.Time // when it came
	none bool      // the chip keeps no samples, or not in the wall's time
}

// wall is how far a driver's timestamp may lie from the time of reading and still be
// taken for the wall's; others count from the host's start.
const wall = 24 * time.Hour

// date says when the driver measured, and sets the utilisation to the mean of its new
// samples. why says that it no longer measures.
func (r *reader) date(g *gpu, s *onprem.Sample, now time.Time) (at time.Time, why string, ret lib.Return) {
	d := &g.dater
	if d.none || !r.has["nvmlDeviceGetSamples"] {
		return now, "", lib.SUCCESS
	}
	r.enter("nvmlDeviceGetSamples", g.index)
	kind, samples, ret := g.dev.GetSamples(lib.GPU_UTILIZATION_SAMPLES, d.seen)
	if ret != lib.SUCCESS && ret != lib.ERROR_NOT_FOUND {
		d.none = !gone(ret)
		return now, "", ret
	}
	sum, n, newest := uint64(0), uint64(0), d.seen
	for _, x := range samples {
		if v, ok := percent(kind, x.SampleValue); ok && x.TimeStamp > d.seen {
			sum, n, newest = sum+v, n+1, max(newest, x.TimeStamp)
		}
	}
	at = time.UnixMicro(int64(newest)).UTC()
	switch {
	case n > 0 && now.Sub(at).Abs() > wall:
		d.none = true
		return now, "", lib.SUCCESS
	case n > 0:
		d.seen, d.got = newest, now
		s.Utilisation = int(sum / n)
	case d.got.IsZero():
		d.got = now // none so far; the first may take a moment
	}
	if quiet := now.Sub(d.got); quiet > r.frozen {
		why = fmt.Sprintf("the driver has measured nothing for %s", quiet.Round(100*time.Millisecond))
	}
	if d.seen == 0 {
		why = "the driver has not measured yet"
	}
	return at, why, lib.SUCCESS
}

// percent reads one of the driver's sample values; false when it is not a percentage.
func percent(kind lib.ValueType, raw [8]byte) (uint64, bool) {
	v := binary.NativeEndian.Uint64(raw[:])
	switch kind {
	case lib.VALUE_TYPE_UNSIGNED_INT, lib.VALUE_TYPE_SIGNED_INT:
		v = uint64(binary.NativeEndian.Uint32(raw[:]))
	case lib.VALUE_TYPE_UNSIGNED_LONG, lib.VALUE_TYPE_UNSIGNED_LONG_LONG, lib.VALUE_TYPE_SIGNED_LONG_LONG:
	default:
		return 0, false
	}
	return v, v <= 100
}
