// Package configs reads the files that configure the two commands, refusing
// what it does not know.
//
// # Strict
//
// A key that is unknown or given twice, a value of the wrong type, a duration
// or an amount of money that cannot be read: each is one error that names the
// file, the line and the column and shows the place. Relative paths are taken
// from the file's own directory. The example files beside this package are the
// manual: every key is explained there.
//
// *Non-goals*: defaults that widen anything, merging of files, environment.
package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// read decodes one YAML document of a file into v.
func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict(), yaml.DisallowUnknownField())
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read config %s", place(path, err))
	}
	return nil
}

// place writes a YAML error as file:line:col, its cause and the lines around.
func place(path string, err error) string {
	if y, ok := errors.AsType[yaml.Error](err); ok && y.GetToken() != nil {
		p := y.GetToken().Position
		return fmt.Sprintf("%s:%d:%d: %s\n%s", path, p.Line, p.Column, y.GetMessage(), yaml.FormatError(err, false, true))
	}
	return path + ": " + err.Error()
}

// missing reports the first required value that is empty.
func missing(path string, required ...[2]string) error {
	for _, r := range required {
		if strings.TrimSpace(r[1]) == "" {
			return fmt.Errorf("read config %s: %s is missing", path, r[0])
		}
	}
	return nil
}

// from resolves paths against the directory of the file that names them.
func from(path string, names ...*string) {
	for _, n := range names {
		if *n != "" && !filepath.IsAbs(*n) {
			*n = filepath.Join(filepath.Dir(path), *n)
		}
	}
}

// amount is policy.Money as "12.50 USD".
type amount struct{ policy.Money }

// UnmarshalYAML reads an amount with its currency.
func (m *amount) UnmarshalYAML(b []byte) (err error) {
	var s string
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	m.Money, err = policy.ParseMoney(s)
	return err
}

// ReadJob reads job.yaml v1.
func ReadJob(path string) (policy.Job, error) {
	var j struct {
		Name    string        `yaml:"name"`
		Team    string        `yaml:"team"`
		Slice   string        `yaml:"slice"`
		Purpose string        `yaml:"purpose"`
		GPUs    int           `yaml:"gpus"`
		Command []string      `yaml:"command"`
		Payload string        `yaml:"payload"`
		Outputs []string      `yaml:"outputs"`
		Budget  amount        `yaml:"budget"`
		Lease   time.Duration `yaml:"lease"`
	}
	if err := read(path, &j); err != nil {
		return policy.Job{}, err
	}
	job := policy.Job{Name: j.Name, Team: j.Team, Slice: j.Slice, Purpose: j.Purpose, GPUs: j.GPUs, Command: j.Command,
		Payload: j.Payload, Outputs: j.Outputs, Budget: j.Budget.Money, Lease: j.Lease}
	if err := job.Check(); err != nil {
		return policy.Job{}, fmt.Errorf("read job %s: %w", path, err)
	}
	return job, nil
}

// ReadCatalogue reads the datasets of a house.
func ReadCatalogue(path string) ([]residency.Dataset, error) {
	type slice struct {
		Name          string   `yaml:"name"`
		Class         string   `yaml:"class"`
		Pseudonymised bool     `yaml:"pseudonymised"`
		Dir           string   `yaml:"dir"`
		Files         []string `yaml:"files"`
	}
	var c struct {
		Datasets []struct {
			ID       string   `yaml:"id"`
			Title    string   `yaml:"title"`
			Owner    string   `yaml:"owner"`
			Class    string   `yaml:"class"`
			Origin   string   `yaml:"origin"`
			Basis    string   `yaml:"basis"`
			Purposes []string `yaml:"purposes"`
			Slices   []slice  `yaml:"slices"`
		} `yaml:"datasets"`
	}
	if err := read(path, &c); err != nil {
		return nil, err
	}
	var out []residency.Dataset
	for _, d := range c.Datasets {
		set := residency.Dataset{ID: d.ID, Title: d.Title, Owner: d.Owner, Origin: d.Origin, Basis: d.Basis, Purposes: d.Purposes}
		if err := set.Class.UnmarshalText([]byte(d.Class)); err != nil {
			return nil, fmt.Errorf("read catalogue %s: dataset %s: %w", path, d.ID, err)
		}
		for _, s := range d.Slices {
			spec := residency.SliceSpec{Name: s.Name, Pseudonymised: s.Pseudonymised, Dir: s.Dir, Files: s.Files}
			if err := spec.Class.UnmarshalText([]byte(s.Class)); err != nil {
				return nil, fmt.Errorf("read catalogue %s: slice %s: %w", path, s.Name, err)
			}
			set.Slices = append(set.Slices, spec)
		}
		out = append(out, set)
	}
	return out, nil
}
