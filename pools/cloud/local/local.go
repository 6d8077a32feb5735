// Package local is the driver whose machines are processes on this computer,
// each in a named place.
//
// # A host and its node
//
// For every node the driver starts a host process, and the host starts the
// node process. The host is to the node what a hypervisor is: it makes the two
// doors, serves the metadata, ends the node at its expiry whatever happens, and
// outlives the controller unless it was given a lifeline. The directory is the
// provider's own memory (asked/, nodes/, gone/), apart from the controller's.
// A node is proved gone when nobody holds the lock on its asked file any more:
// host, node and all they started inherit it, and the kernel lets go of it with
// the last of them. Process numbers are never trusted for that.
//
// # Closed by construction
//
// With namespaces (root), a node has network, mounts and process numbers of its
// own. Its network has nothing but lo. What it can reach is the control
// endpoint, through a listener inside whose connections the host carries out,
// and the metadata service, which is the host. What can reach it is whoever
// knows Node.Reach, whose connections the host carries in. There is no route to
// close, and a kill -9 of the host takes namespace, mounts and processes along.
// Without namespaces the same doors stand on a loopback address of the node's
// own, and nothing is closed.
//
// # Non-goals
//
// This is no sandbox. Nodes share the file system and the user of their host,
// so a hostile node could read the provider's key; the places are names. It exists
// so that everything else can be real without a cloud.
package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// NoLimit is the capacity of a place that always has room.
const NoLimit = math.MaxInt

// Options say how nodes are made. The zero value makes none.
type Options struct {
	Dir string // the provider's memory; made if missing
	// Places maps each place to how many nodes it holds at once. A place that is
	// missing is refused; one that holds 0 never has capacity.
	Places map[residency.Address]int
	// Command starts a host; the path of its file is put behind it. The command
	// calls [Host] with that path.
	Command []string
	// NodeCommand starts a node; the path of its [Boot] file is put behind it.
	NodeCommand []string
	// Env is added to the environment of hosts and nodes, which else hold only a
	// PATH: nothing of the controller's own gets through.
	Env []string
	// Namespaces gives each node namespaces of its own; needs root, see [Isolates].
	Namespaces bool
	// Lifeline ends every node with this process, however it ends.
	Lifeline bool
	// Boot is how long a node is pending before it is started.
	Boot time.Duration
	// KeyFile is the provider's Ed25519 key (PEM, PKCS #8, 0600), which signs the
	// identity documents of its nodes. Only hosts read it.
	KeyFile string
}

// Driver makes nodes out of processes. Made by [Open]; safe for concurrent
// use, also by several processes on the same directory.
type Driver struct {
	o         Options
	dir       dir
	mu        sync.Mutex
	lifelines map[string]*os.File
	hosts     sync.WaitGroup
}

var _ pools.Driver = (*Driver)(nil)

// Open opens the provider's directory, and makes it on first use.
func Open(o Options) (*Driver, error) {
	if o.Dir == "" || len(o.Command) == 0 || len(o.NodeCommand) == 0 || o.KeyFile == "" {
		return nil, errors.New("open local provider: directory, command or key file is missing")
	}
	var errs [2]error
	o.Dir, errs[0] = filepath.Abs(o.Dir)
	o.KeyFile, errs[1] = filepath.Abs(o.KeyFile)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("open local provider: %w", err)
	}
	if _, err := readKey(o.KeyFile); err != nil {
		return nil, fmt.Errorf("open local provider: %w", err)
	}
	o.Places = maps.Clone(o.Places)
	d := &Driver{o: o, dir: dir(o.Dir), lifelines: map[string]*os.File{}}
	if err := d.dir.make(); err != nil {
		return nil, fmt.Errorf("open local provider: %w", err)
	}
	return d, nil
}

// Close lets go of the lifelines and waits until the nodes that hung on them
// are gone, at most a few seconds. Without lifelines the nodes stay.
func (d *Driver) Close() error {
	if !d.o.Lifeline {
		return nil
	}
	d.mu.Lock()
	for _, w := range d.lifelines {
		w.Close()
	}
	clear(d.lifelines)
	d.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		d.hosts.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-time.After(4 * stopWait):
		return fmt.Errorf("close local provider: nodes still run, see %s", d.dir)
	}
}

// enter takes the lock under which nodes are asked for, one process at a time.
func (d *Driver) enter(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(d.dir.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		ok, err := lock(f)
		if err == nil && ok {
			return func() { release(f) }, nil
		}
		if err == nil {
			err = pause(ctx)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context) error {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
