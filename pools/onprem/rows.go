package onprem

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Throttle is the driver's bit mask of reasons why clocks are held down
// (nvmlClocksEventReasons). Zero means that nothing holds them.
type Throttle uint64

// throttles names the bits, in the driver's order.
var throttles = []struct {
	bit  Throttle
	name string
}{
	{0x1, "idle"}, {0x2, "app-clocks"}, {0x4, "power-cap"}, {0x8, "hw-slowdown"}, {0x10, "sync-boost"},
	{0x20, "sw-thermal"}, {0x40, "hw-thermal"}, {0x80, "power-brake"}, {0x100, "display"},
}

// String names the reasons, "-" for none.
func (t Throttle) String() string {
	var names []string
	for _, b := range throttles {
		if t&b.bit != 0 {
			names = append(names, b.name)
			t &^= b.bit
		}
	}
	if t != 0 {
		names = append(names, fmt.Sprintf("%#x", uint64(t)))
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ",")
}

// Rows lays a round out as a table, header first, in the order of the GPUs. It
// prints nothing: the command does. A reading of a sample that is not [OK] is
// shown with its state, so that an old number is never taken for a new one.
func Rows(samples []Sample, now time.Time) [][]string {
	rows := [][]string{{
		"GPU", "UUID", "UTIL", "MEMORY MiB", "POWER W", "TEMP C", "SM MHz", "PROCS", "THROTTLE", "XID", "AGE", "STATE",
	}}
	ordered := slices.SortedStableFunc(slices.Values(samples), func(a, b Sample) int { return a.Index - b.Index })
	for _, s := range ordered {
		state := s.wrong()
		if state == "" {
			state = string(OK)
		}
		rows = append(rows, []string{
			strconv.Itoa(s.Index), s.UUID, fmt.Sprintf("%d %%", s.Utilisation),
			fmt.Sprintf("%d/%d", s.MemoryUsedMiB, s.MemoryTotalMiB),
			fmt.Sprintf("%d", s.PowerMilliwatt/1000), strconv.Itoa(s.TempC), strconv.Itoa(s.SMClockMHz),
			strconv.Itoa(s.Processes), s.Throttle.String(), xid(s.XID), age(s.At, now), state,
		})
	}
	return rows
}

// xid gives "-" where there was none.
func xid(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// age gives the time since at to a tenth of a second, "never" for no time.
func age(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return now.Sub(at).Round(100 * time.Millisecond).String()
}
