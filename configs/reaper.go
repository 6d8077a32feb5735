package configs

import "time"

// Reaper is the file of burstctl reap: which clouds, and how long after its
// expiry a node is left to those who should have ended it. Made by
// [ReadReaper]; the zero Reaper reaps nothing.
type Reaper struct {
	Domain    string // trust domain: whose nodes
	Providers []Driver
	Grace     time.Duration
}

// ReadReaper reads and checks a reaper's file. Its error is *[Errors] unless the
// file could not be read at all.
func ReadReaper(path string) (Reaper, error) { return read[Reaper]("reaper", path, nil) }
