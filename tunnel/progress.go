package tunnel

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Progress is what a job reports of itself: the body of a "job-progress"
// report. Made by [ParseProgress]; the zero Progress reports nothing.
type Progress struct {
	Grant  string `json:"grant"`
	Epoch  int    `json:"epoch"`
	Epochs int    `json:"epochs"`
	Metric string `json:"metric"`
	Micros int64  `json:"micros"` // the metric × 10⁶

	Samples    int64 `json:"samples,omitempty"`    // seen since the job began
	Milliwatts int64 `json:"milliwatts,omitempty"` // drawn by its GPUs since the last report
}

// Bounds of what a job may say.
const (
	LongestLine    = 512         // bytes; as many as a pipe takes whole
	LongestMetric  = 64          // bytes of a metric's name
	MostMilliwatts = 100_000_000 // of one machine: 100 kW
)

// ParseProgress reads one line of progress: words as "epoch=3 epochs=10
// samples=50000 watts=212.5 loss=0.12", in any order. The epoch is needed; one
// word that is none of the others is the metric, by its own name.
func ParseProgress(line string) (Progress, error) {
	var p Progress
	if len(line) > LongestLine {
		return p, fmt.Errorf("read progress: longer than %d bytes", LongestLine)
	}
	said := map[string]bool{}
	for word := range strings.FieldsSeq(line) {
		key, value, ok := strings.Cut(word, "=")
		if !ok || said[key] {
			return Progress{}, fmt.Errorf("read progress: %.64q is no word as epoch=3, or is there twice", word)
		}
		said[key] = true
		if err := p.set(key, value); err != nil {
			return Progress{}, fmt.Errorf("read progress: %.64q: %w", word, err)
		}
	}
	if p.Epoch < 1 {
		return Progress{}, errors.New("read progress: the epoch is missing, as in epoch=3")
	}
	return p, nil
}

// set takes one word.
func (p *Progress) set(key, value string) (err error) {
	switch key {
	case "epoch":
		p.Epoch, err = whole(value, 1)
	case "epochs":
		p.Epochs, err = whole(value, 1)
	case "samples":
		p.Samples, err = strconv.ParseInt(value, 10, 62)
		if err == nil && p.Samples < 0 {
			err = errors.New("is less than nothing")
		}
	case "watts":
		p.Milliwatts, err = scaled(value, 1e3)
		if err == nil && (p.Milliwatts < 0 || p.Milliwatts > MostMilliwatts) {
			err = errors.New("no machine draws that")
		}
	default:
		if p.Metric != "" {
			return fmt.Errorf("%q is the metric already", p.Metric)
		}
		plain := func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-./@", r)
		}
		if key == "" || len(key) > LongestMetric || strings.ContainsFunc(key, plain) {
			return errors.New("is no name of a metric")
		}
		p.Metric = key
		p.Micros, err = scaled(value, 1e6)
	}
	return err
}

// whole is a number of at least least.
func whole(s string, least int) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err == nil && int(n) < least {
		err = fmt.Errorf("is less than %d", least)
	}
	return int(n), err
}

// scaled is a decimal times unit, to the nearest whole number.
func scaled(s string, unit float64) (int64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, err
	}
	if x = math.Round(x * unit); math.IsNaN(x) || math.Abs(x) > 1<<62 {
		return 0, errors.New("is out of range")
	}
	return int64(x), nil
}
