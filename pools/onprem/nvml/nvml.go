// Package nvml samples GPUs through the NVIDIA management library.
//
// # Two processes
//
// A call into the library can hang in the kernel for minutes, or for ever, and
// nothing in the calling process can cut it short. So the library is loaded in a
// child process only: [Helper], which the command runs under a hidden subcommand.
// It writes a line of JSON for each round and a heartbeat that names the call it is
// in. [Sampler], in the connector, starts the helper and reads the lines. Silence
// becomes [onprem.Stale] samples within [Sampler.Silence]; nothing waits on the driver.
//
// # A hung client is not killed
//
// SIGKILL of a process inside the driver has frozen GPUs (NVIDIA/dcgm-exporter#84).
// A helper that answers nothing for [Sampler.GiveUp] gets SIGTERM, which it honours
// when its call returns, and is left alone until then. There is never a second one
// beside it: on a driver that hangs, another client would hang too. It also ends when
// its standard input does, so it does not outlive the connector by more than its call.
//
// # What makes a sample stale
//
// Not the time of reading but the driver's own time counts. Where the chip keeps
// utilisation samples (nvmlDeviceGetSamples), the newest of them dates the sample and
// the mean of the new ones is its utilisation; when no new one comes for
// [Sampler.Frozen] the sample is stale. Where it keeps none, or in a clock that is
// not the wall's, the time of reading dates it. In both cases the total energy
// counter must move: a powered GPU always draws, so a counter that stands still for
// as long means that the driver repeats itself.
//
// # Building
//
// The helper needs cgo. Without it the package builds and Helper says so.
//
// *Non-goals*: SM activity by GPM, ECC counters and MIG instances are not read; a GPU
// in MIG mode has no utilisation and is reported as failed.
package nvml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
)

// ErrNoLibrary says that the library is not there: no driver on this host, or a
// wrong path. It does not get better by itself, so the sampler ends with it; a caller
// shows it and does without GPUs.
var ErrNoLibrary = errors.New("load NVIDIA management library: cannot be opened; " +
	"install the driver or give the library's path")

// The kinds of line that a helper writes.
const (
	kindRound   = "round"      // Round holds a sample of each GPU
	kindBeat    = "beat"       // alive; In names the call it has been in for For
	kindError   = "error"      // Err says why there is no round; the helper ends
	kindMissing = "no-library" // as kindError, and the cause is ErrNoLibrary
)

// Bounds on a line, so that a broken helper cannot fill the connector's memory.
const (
	maxLine = 4 << 20
	maxGPUs = 16384
)

// line is what a helper writes, one a line.
type line struct {
	Kind  string          `json:"kind"`
	Round []onprem.Sample `json:"round,omitempty"`
	In    string          `json:"in,omitempty"`
	For   time.Duration   `json:"for,omitempty"`
	Err   string          `json:"err,omitempty"`
}

// decode reads one line strictly.
func decode(b []byte) (line, error) {
	var l line
	if len(b) > maxLine {
		return line{}, fmt.Errorf("read helper's line: %d bytes, more than %d", len(b), maxLine)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return line{}, fmt.Errorf("read helper's line: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return line{}, errors.New("read helper's line: more than one value")
	}
	switch l.Kind {
	case kindRound:
		if len(l.Round) == 0 || len(l.Round) > maxGPUs {
			return line{}, fmt.Errorf("read helper's line: a round of %d GPUs", len(l.Round))
		}
	case kindBeat, kindError, kindMissing:
	default:
		return line{}, fmt.Errorf("read helper's line: unknown kind %q", l.Kind)
	}
	return l, nil
}
