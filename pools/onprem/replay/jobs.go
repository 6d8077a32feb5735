package replay

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Job is one row of a recorded trace. Made by [ReadJobs]; times are seconds since
// the trace's epoch, so a job may have begun long before the day.
type Job struct {
	ID       int
	Submit   int // seconds since the epoch
	Duration int // seconds it held its GPUs
	GPUs     int
	VC       string // virtual cluster: the queue it was sent to
}

// header is the first line of a trace, column by column.
var header = []string{"job_id", "submit_s", "duration_s", "gpus", "vc"}

// Bounds on a row, so that sums over a trace cannot overflow: a century of
// seconds, and more GPUs than any job has had.
const (
	maxSeconds = 100 * 366 * 86400
	maxGPUs    = 1 << 16
)

// ReadJobs reads a trace: CSV with the header job_id,submit_s,duration_s,gpus,vc.
// It is strict: another header, a missing field, a number out of range or a job
// without GPUs is an error that names the line. Jobs come back in order of submission.
func ReadJobs(r io.Reader) ([]Job, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = len(header)
	c.ReuseRecord = true
	first, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read trace header: %w", err)
	}
	if !slices.Equal(first, header) {
		return nil, fmt.Errorf("read trace header: got %q, want %q", first, header)
	}
	var jobs []Job
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read trace: %w", err)
		}
		j, err := readJob(row)
		if err != nil {
			line, _ := c.FieldPos(0)
			return nil, fmt.Errorf("read trace line %d: %w", line, err)
		}
		jobs = append(jobs, j)
	}
	slices.SortStableFunc(jobs, func(a, b Job) int { return a.Submit - b.Submit })
	return jobs, nil
}

// readJob reads one row, already known to have five fields.
func readJob(row []string) (Job, error) {
	j := Job{VC: row[4]}
	for i, f := range []struct {
		to       *int
		min, max int
	}{{&j.ID, 0, 1 << 40}, {&j.Submit, 0, maxSeconds}, {&j.Duration, 0, maxSeconds}, {&j.GPUs, 1, maxGPUs}} {
		n, err := strconv.Atoi(row[i])
		if err != nil {
			return Job{}, fmt.Errorf("%s: %w", header[i], err)
		}
		if n < f.min || n > f.max {
			return Job{}, fmt.Errorf("%s: %d is not between %d and %d", header[i], n, f.min, f.max)
		}
		*f.to = n
	}
	return j, nil
}

// Extract picks the jobs of one queue that ran, as recorded, at any instant of the
// day that begins midnight after epoch: how a day file is cut from a whole trace.
func Extract(jobs []Job, vc string, midnight time.Duration) []Job {
	from := int(midnight / time.Second)
	var day []Job
	for _, j := range jobs {
		if j.VC == vc && j.Submit < from+86400 && j.Submit+j.Duration > from {
			day = append(day, j)
		}
	}
	return day
}
