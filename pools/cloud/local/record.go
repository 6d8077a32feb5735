package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// alive asks the kernel whether the record's host still runs. A process number
// that was given to another since does not count.
func (r record) alive() bool {
	return r.PID > 0 && !r.Gone && r.Started != "" && startTime(r.PID) == r.Started
}

// startTime is when a process began, in the kernel's ticks since boot
// (proc_pid_stat(5), field 22); empty if there is none or it is a zombie.
func startTime(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

func (d *Driver) read(id string) (r record, err error) {
	if strings.ContainsAny(id, "/.") {
		return r, fmt.Errorf("read node %q: %w", id, os.ErrNotExist)
	}
	b, err := os.ReadFile(filepath.Join(d.Dir, id+".json"))
	if err != nil {
		return r, fmt.Errorf("read node: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("read node %s: %w", id, err)
	}
	return r, nil
}

// write makes a record durable, whole or not at all.
func (d *Driver) write(r record) error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	path := filepath.Join(d.Dir, r.Node.ID+".json")
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	dir, err := os.Open(d.Dir)
	if err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
