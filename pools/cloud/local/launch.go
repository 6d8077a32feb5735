package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// upWait is how long a host may take until its doors are open. A host that
// finds its asked file older does not come up: by then nobody waits for it.
const upWait = 10 * time.Second

// Launch starts the node of a claim's attempt, or returns the one that is
// there. See [pools.Driver] for its errors. It returns once the doors are open.
func (d *Driver) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	n, err := d.launch(ctx, l)
	if err != nil {
		return pools.Node{}, fmt.Errorf("launch %s attempt %d at %v: %w", l.Claim, l.Attempt, l.Offer.At, err)
	}
	return n, nil
}

// launch is Launch without the wrapping.
func (d *Driver) launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	if err := ctx.Err(); err != nil {
		return pools.Node{}, err
	}
	unlock, err := d.enter(ctx)
	if err != nil {
		return pools.Node{}, err
	}
	defer unlock()
	id := idOf(l.Claim, l.Attempt)
	if err := d.ask(id, l); err != nil {
		return pools.Node{}, err
	}
	if _, err := os.Stat(d.dir.goneFile(id)); err == nil {
		return pools.Node{}, pools.ErrEnded
	}
	switch n, err := d.alive(id); {
	case err == nil:
		return n, nil
	case errors.Is(err, pools.ErrGone):
		return pools.Node{}, pools.ErrEnded
	case !errors.Is(err, fs.ErrNotExist):
		return pools.Node{}, err
	case !l.Expires.After(time.Now()):
		return pools.Node{}, fmt.Errorf("its lease is over: %w", pools.ErrRefused)
	}
	return d.bringUp(ctx, id)
}

// ask writes the asked file, or compares l with the one that is there.
func (d *Driver) ask(id string, l pools.Launch) error {
	var before asked
	err := read(d.dir.askedFile(id), &before)
	capacity, sold := d.o.Places[l.Offer.At]
	switch {
	case err == nil && before.Token != l.Token():
		return fmt.Errorf("attempt was launched with other parameters: %w", pools.ErrRefused)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	case l.Claim == "" || l.Attempt < 1 || !l.Expires.After(time.Now()):
		return fmt.Errorf("needs a claim, an attempt and an expiry ahead: %w", pools.ErrRefused)
	case !sold:
		return fmt.Errorf("no such place here: %w", pools.ErrRefused)
	}
	nodes, err := d.list()
	if err != nil {
		return err
	}
	nodes = slices.DeleteFunc(nodes, func(n pools.Node) bool { return n.At != l.Offer.At })
	if len(nodes) >= capacity {
		return fmt.Errorf("%d of %d nodes are alive there: %w", len(nodes), capacity, pools.ErrCapacity)
	}
	a := asked{ID: id, Token: l.Token(), Launch: l, NodeCommand: d.o.NodeCommand, Env: d.o.Env,
		Namespaces: d.o.Namespaces, Lifeline: d.o.Lifeline, Boot: d.o.Boot, KeyFile: d.o.KeyFile}
	return save(d.dir.askedFile(id), a, os.Link)
}

// bringUp starts a host and waits until it, or one that came before, has
// opened the doors. When it cannot tell, the outcome is unknown.
func (d *Driver) bringUp(ctx context.Context, id string) (pools.Node, error) {
	now := time.Now()
	if err := os.Chtimes(d.dir.askedFile(id), now, now); err != nil {
		return pools.Node{}, err
	}
	ended, err := d.startHost(id)
	if err != nil {
		return pools.Node{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, upWait)
	defer cancel()
	for {
		n, err := d.alive(id)
		if !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		select {
		case <-ended: // ours; another one may hold the node
			ended = nil
			if on, err := held(d.dir.askedFile(id)); err == nil && !on {
				if n, err := d.alive(id); err == nil {
					return n, nil
				}
				return pools.Node{}, fmt.Errorf("its host ended before the doors were open: %s", d.lastLine(id))
			}
		default:
			if err := pause(ctx); err != nil {
				return pools.Node{}, fmt.Errorf("wait for its host: %w", err)
			}
		}
	}
}

// startHost starts the host's process and reports its end on the channel.
func (d *Driver) startHost(id string) (ended <-chan struct{}, err error) {
	log, err := os.OpenFile(d.dir.logFile(id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	argv := append(slices.Clone(d.o.Command), d.dir.askedFile(id))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = string(d.dir), log, log
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, d.o.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var line *os.File // our end of the lifeline
	if d.o.Lifeline {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		cmd.Stdin, line = r, w
	}
	if err := cmd.Start(); err != nil {
		if line != nil {
			line.Close()
		}
		return nil, fmt.Errorf("start host: %w", err)
	}
	return d.watch(cmd, line), nil
}

// watch keeps the lifeline for as long as the host lives, and reaps the host.
func (d *Driver) watch(cmd *exec.Cmd, line *os.File) <-chan struct{} {
	pid := fmt.Sprint(cmd.Process.Pid)
	if line != nil {
		d.mu.Lock()
		d.lifelines[pid] = line
		d.mu.Unlock()
	}
	ended := make(chan struct{})
	d.hosts.Go(func() {
		_ = cmd.Wait() // what it had to say is in its log
		close(ended)
		d.mu.Lock()
		defer d.mu.Unlock()
		if w := d.lifelines[pid]; w != nil && w == line {
			w.Close()
			delete(d.lifelines, pid)
		}
	})
	return ended
}

// lastLine is the last thing a host or node said.
func (d *Driver) lastLine(id string) string {
	b, err := os.ReadFile(d.dir.logFile(id))
	if err != nil {
		return err.Error()
	}
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}
