package configs

import "github.com/burstctl/burstctl/policy"

// ReadJob reads job.yaml, version 1. Its error is *[Errors] unless the file
// could not be read at all.
func ReadJob(path string) (policy.Job, error) {
	return read[policy.Job]("job", path, nil)
}
