package configs

import (
	"fmt"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// ReadJob reads job.yaml, version 1. Its error is *[Errors] unless the file
// could not be read at all.
func ReadJob(path string) (policy.Job, error) {
	return read[policy.Job]("job", path, nil)
}

// catalogue is the file of datasets.
type catalogue struct{ Datasets []residency.Dataset }

// ReadCatalogue reads a catalogue of datasets. The directories in it are left
// as they are: they start at the data directory of the site that holds them.
// Its error is *[Errors] unless the file could not be read at all. What makes a
// catalogue consistent is checked by residency.NewCatalogue.
func ReadCatalogue(path string) ([]residency.Dataset, error) {
	c, err := read("catalogue", path, func(c *catalogue, r *report) {
		seen := map[string]bool{}
		twice := func(name string, where ...string) {
			if seen[name] {
				r.at(r.root.find(where...).position, false, name, "it is listed twice", "keep one of them")
			}
			seen[name] = true
		}
		for i, d := range c.Datasets {
			twice("dataset "+d.ID, "datasets", fmt.Sprint(i), "id")
			for j, s := range d.Slices {
				twice("slice "+s.Name, "datasets", fmt.Sprint(i), "slices", fmt.Sprint(j), "name")
			}
		}
		if len(r.found) > 0 {
			return
		}
		if _, err := residency.NewCatalogue(c.Datasets); err != nil {
			r.at(r.root.find("datasets").position, false, "the catalogue", err.Error(), "correct the dataset that is named")
		}
	})
	return c.Datasets, err
}
