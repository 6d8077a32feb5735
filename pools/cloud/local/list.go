package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// stopWait is how long a node may take to end once asked, before it is killed.
const stopWait = 2 * time.Second

// List returns every node that somebody still holds. A record that cannot be
// read makes it an error.
func (d *Driver) List(ctx context.Context) ([]pools.Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list local nodes: %w", err)
	}
	nodes, err := d.list()
	if err != nil {
		return nil, fmt.Errorf("list local nodes: %w", err)
	}
	return nodes, nil
}

// list is List without the wrapping.
func (d *Driver) list() ([]pools.Node, error) {
	entries, err := os.ReadDir(d.dir.path("nodes"))
	if err != nil {
		return nil, err
	}
	var nodes []pools.Node
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !isID(id) {
			continue
		}
		n, err := d.alive(id)
		if errors.Is(err, pools.ErrGone) || errors.Is(err, fs.ErrNotExist) {
			continue // it ended
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// alive describes a node. It is [fs.ErrNotExist] when there is no record and
// [pools.ErrGone] when nobody holds the node any more; that is then buried.
func (d *Driver) alive(id string) (pools.Node, error) {
	var r record
	if err := read(d.dir.nodeFile(id), &r); err != nil {
		return pools.Node{}, err
	}
	on, err := held(d.dir.askedFile(id))
	if err != nil {
		return pools.Node{}, err
	}
	if !on {
		if err := d.dir.bury(id); err != nil {
			return pools.Node{}, err
		}
		return pools.Node{}, pools.ErrGone
	}
	l := r.Launch
	n := pools.Node{ID: r.ID, Claim: l.Claim, Attempt: l.Attempt, At: l.Offer.At, Type: l.Offer.Type,
		State: pools.Running, Launched: r.Launched, Expires: l.Expires, Reach: r.Reach}
	if _, err := os.Stat(d.dir.stopFile(id)); err == nil || !r.Ended.IsZero() {
		n.State = pools.Stopping
	} else if time.Now().Before(r.Running) {
		n.State = pools.Pending
	}
	return n, nil
}

// Delete asks a node to end; [pools.ErrGone] once neither its host nor
// anything it started is left, and for every id that was never a node's.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	if !isID(id) {
		return fmt.Errorf("delete %q: %w", id, pools.ErrGone)
	}
	if err := d.delete(id); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	return nil
}

// delete is Delete without the wrapping.
func (d *Driver) delete(id string) error {
	var r record
	switch err := read(d.dir.nodeFile(id), &r); {
	case errors.Is(err, fs.ErrNotExist):
		if on, err := held(d.dir.askedFile(id)); err != nil || on {
			return err // a host that comes up or goes down
		}
		if _, err := os.Stat(d.dir.nodeFile(id)); err == nil {
			return nil // it has come up meanwhile: next time
		}
		return pools.ErrGone
	case err != nil:
		return err
	}
	on, err := held(d.dir.askedFile(id))
	if err != nil {
		return err
	}
	if !on {
		return errors.Join(d.dir.bury(id), pools.ErrGone)
	}
	f, err := os.OpenFile(d.dir.stopFile(id), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	asked, err := f.Stat()
	if err != nil {
		return err
	}
	sig := syscall.SIGTERM
	if time.Since(asked.ModTime()) > 2*stopWait {
		sig = syscall.SIGKILL // the host hangs; its node dies with it
	}
	return tell(r, sig)
}

// tell sends sig to the host of r, and to no other process that may have its
// number by now.
func tell(r record, sig os.Signal) error {
	p, err := os.FindProcess(r.PID) // holds the process itself, where the kernel can
	if err != nil || started(r.PID) != r.Start {
		return nil
	}
	defer p.Release()
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal host: %w", err)
	}
	return nil
}
