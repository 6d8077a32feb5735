// Package train is the job the demo bursts: logistic regression over a
// mounted slice, by seeded stochastic gradient descent.
//
// It is a real program on purpose: it reads the whole slice through the mount
// in every epoch, leaves a checkpoint after each, goes on from one it finds,
// reports progress as JSON lines on standard output, and writes a model. The
// same slice, seed and number of epochs give the same model, byte for byte.
package train

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Config is what a run is told. The zero Config trains nothing.
type Config struct {
	Epochs int           `json:"epochs"`
	Seed   uint64        `json:"seed"`
	Rate   float64       `json:"rate"` // learning rate
	Label  string        `json:"label"`
	Inputs []string      `json:"inputs"` // numeric columns
	Pause  time.Duration `json:"pause"`  // nanoseconds after each epoch, so that a person can watch
}

// Model is what a run writes.
type Model struct {
	Inputs  []string  `json:"inputs"`
	Mean    []float64 `json:"mean"`
	Scale   []float64 `json:"scale"`
	Weights []float64 `json:"weights"` // one an input, then the bias
	Epochs  int       `json:"epochs"`
	Rows    int       `json:"rows"`
	Loss    float64   `json:"loss"` // mean log loss of the last epoch
}

// Line is one line of progress; Micros is the loss × 10⁶.
type Line struct {
	Epoch  int    `json:"epoch"`
	Epochs int    `json:"epochs"`
	Metric string `json:"metric"`
	Micros int64  `json:"micros"`

	Samples int64 `json:"samples"` // rows seen by this run
}

// Run trains on every CSV file of slice and leaves model.json in out.
func Run(ctx context.Context, c Config, slice fs.FS, out string, progress io.Writer) (Model, error) {
	if c.Epochs <= 0 || len(c.Inputs) == 0 || c.Label == "" {
		return Model{}, errors.New("train: epochs, inputs and label must be given")
	}
	m, err := c.start(slice, filepath.Join(out, "checkpoint.json"))
	if err != nil {
		return Model{}, fmt.Errorf("train: %w", err)
	}
	lines, samples := json.NewEncoder(progress), int64(0)
	for m.Epochs < c.Epochs {
		if err := c.epoch(ctx, &m, slice); err != nil {
			return m, fmt.Errorf("train epoch %d: %w", m.Epochs+1, err)
		}
		if err := save(filepath.Join(out, "checkpoint.json"), m); err != nil {
			return m, fmt.Errorf("save checkpoint: %w", err)
		}
		samples += int64(m.Rows)
		if err := lines.Encode(Line{m.Epochs, c.Epochs, "loss", int64(m.Loss * 1e6), samples}); err != nil {
			return m, fmt.Errorf("report epoch %d: %w", m.Epochs, err)
		}
		select {
		case <-time.After(c.Pause):
		case <-ctx.Done():
			return m, context.Cause(ctx)
		}
	}
	return m, save(filepath.Join(out, "model.json"), m)
}

// start goes on from a checkpoint, or takes mean and scale of each input in a
// first pass.
func (c Config) start(slice fs.FS, checkpoint string) (Model, error) {
	var m Model
	b, err := os.ReadFile(checkpoint)
	if err == nil {
		return m, json.Unmarshal(b, &m)
	}
	n := len(c.Inputs)
	m = Model{Inputs: c.Inputs, Mean: make([]float64, n), Scale: make([]float64, n), Weights: make([]float64, n+1)}
	err = c.rows(slice, func(x []float64, _ float64) {
		m.Rows++
		for i, v := range x {
			m.Mean[i] += v
			m.Scale[i] += v * v
		}
	})
	if err != nil || m.Rows == 0 {
		return m, errors.Join(err, errIf(m.Rows == 0, "the slice has no rows"))
	}
	for i := range n {
		m.Mean[i] /= float64(m.Rows)
		m.Scale[i] = math.Sqrt(max(m.Scale[i]/float64(m.Rows)-m.Mean[i]*m.Mean[i], 1e-12))
	}
	return m, nil
}

// epoch goes over the slice once, in file order, with a seeded dropout of rows
// so that epochs differ.
func (c Config) epoch(ctx context.Context, m *Model, slice fs.FS) error {
	dice := rand.New(rand.NewPCG(c.Seed, uint64(m.Epochs)))
	loss, seen := 0.0, 0
	err := c.rows(slice, func(x []float64, y float64) {
		if dice.IntN(10) == 0 {
			return
		}
		p := m.predict(x)
		loss -= math.Log(max(y*p+(1-y)*(1-p), 1e-12))
		seen++
		g := c.Rate * (y - p) / math.Sqrt(float64(m.Epochs+1))
		for i := range x {
			m.Weights[i] += g * x[i]
		}
		m.Weights[len(x)] += g
	})
	m.Epochs++
	m.Loss = loss / float64(max(seen, 1))
	return errors.Join(err, context.Cause(ctx))
}

// predict standardises x in place and returns the probability of the label.
func (m Model) predict(x []float64) float64 {
	z := m.Weights[len(x)]
	for i := range x {
		x[i] = (x[i] - m.Mean[i]) / m.Scale[i]
		z += m.Weights[i] * x[i]
	}
	return 1 / (1 + math.Exp(-z))
}

// rows calls f for each row of each CSV file, in name order.
func (c Config) rows(slice fs.FS, f func(x []float64, y float64)) error {
	names, err := fs.Glob(slice, "*.csv")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.file(slice, name, f); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func (c Config) file(slice fs.FS, name string, f func(x []float64, y float64)) error {
	file, err := slice.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return err
	}
	column := map[string]int{}
	for i, h := range head {
		column[h] = i
	}
	for _, want := range append([]string{c.Label}, c.Inputs...) {
		if _, ok := column[want]; !ok {
			return fmt.Errorf("column %q is not in the slice", want)
		}
	}
	x := make([]float64, len(c.Inputs))
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, in := range c.Inputs {
			if x[i], err = strconv.ParseFloat(row[column[in]], 64); err != nil {
				return err
			}
		}
		y, err := strconv.ParseFloat(row[column[c.Label]], 64)
		if err != nil {
			return err
		}
		f(x, y)
	}
}

// save writes v as JSON, whole or not at all.
func save(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New(text)
	}
	return nil
}
