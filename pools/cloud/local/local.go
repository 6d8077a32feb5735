// Package local is the driver whose virtual machines are processes on this
// host, in named places.
//
// # What a node is
//
// For each node the driver starts a host process, which starts the node. As
// root the node lives in network, mount and process namespaces of its own: it
// has no network but a loopback with three doors that its host holds open (the
// control endpoint, the metadata service, and the way in for the edge), so its
// egress is closed by construction. When the host dies, however it dies,
// processes, mounts and namespaces go with it. Unprivileged, the same doors are
// loopback ports and the node is a plain process.
//
// # What survives
//
// A record per node in the driver's directory is the provider's own state: it
// is made before the host starts, outlives the controller, and is what List
// reads. Whether a node still is, the kernel says: its process and the time
// that started.
//
// # Non-goals
//
// It isolates nothing from root on this host, and it rents no GPU.
package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// Driver launches nodes on this host. Fields are set by the caller, then the
// driver may be used from several goroutines.
type Driver struct {
	Dir        string   // its state: records, logs, scratch
	Host       []string // argv of a host process; the spec's path is appended
	Places     []string // addresses it has
	Capacity   int      // live nodes a place; 0 is no limit
	Namespaces bool     // needs root
	Lifeline   bool     // nodes end with this process, however it ends
	KeyFile    string   // Ed25519 key that signs identity documents
	mu         sync.Mutex
	lines      map[string]*os.File // write ends of lifelines
}

// record is one node as the provider knows it.
type record struct {
	Node    pools.Node   `json:"node"`
	Launch  pools.Launch `json:"launch"`
	Token   string       `json:"token"`
	PID     int          `json:"pid"`
	Started string       `json:"started"` // of the process, as the kernel counts
	Gone    bool         `json:"gone"`
}

// Launch makes the node of a claim's attempt, or finds the one it made.
func (d *Driver) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return pools.Node{}, err
	}
	id := instanceID(l)
	if r, err := d.read(id); err == nil {
		return d.found(r, l)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return pools.Node{}, err
	}
	place := l.Offer.At.String()
	if !slices.Contains(d.Places, place) {
		return pools.Node{}, fmt.Errorf("launch at %s: no such place here: %w", place, pools.ErrRefused)
	}
	if full, err := d.full(place); err != nil || full {
		return pools.Node{}, errors.Join(err, fmt.Errorf("launch at %s: %w", place, pools.ErrCapacity))
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := record{Launch: l, Token: l.Token(), Node: pools.Node{ID: id, Claim: l.Claim, Attempt: l.Attempt, At: l.Offer.At,
		Type: l.Offer.Type, State: pools.Pending, Launched: now, Expires: l.Expires}}
	return d.start(r)
}

// found answers for a node that was launched before.
func (d *Driver) found(r record, l pools.Launch) (pools.Node, error) {
	switch {
	case r.Token != l.Token():
		return pools.Node{}, fmt.Errorf("launch %s: the attempt was launched with other parameters: %w", l.Claim, pools.ErrRefused)
	case r.alive():
		return r.Node, nil
	case r.PID == 0 && !r.Gone: // we died between record and host: begin again
		return d.start(r)
	}
	return pools.Node{}, fmt.Errorf("launch %s: the instance of this attempt has ended: %w", l.Claim, pools.ErrRefused)
}

// instanceID follows from claim and attempt, so that a launch repeated after a
// crash finds what the first one made.
func instanceID(l pools.Launch) string {
	sum := sha256.Sum256([]byte("local-instance/1\n" + l.Claim + "\n" + strconv.Itoa(l.Attempt)))
	return "i-" + hex.EncodeToString(sum[:5])
}

// full reports whether a place has no room.
func (d *Driver) full(place string) (bool, error) {
	if d.Capacity <= 0 {
		return false, nil
	}
	nodes, err := d.list()
	n := 0
	for _, node := range nodes {
		if node.At.String() == place {
			n++
		}
	}
	return n >= d.Capacity, err
}

// List returns every node whose host lives.
func (d *Driver) List(ctx context.Context) ([]pools.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.list()
}

func (d *Driver) list() ([]pools.Node, error) {
	names, err := filepath.Glob(filepath.Join(d.Dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var nodes []pools.Node
	for _, name := range names {
		r, err := d.read(strings.TrimSuffix(filepath.Base(name), ".json"))
		if err != nil {
			return nil, fmt.Errorf("list nodes: %w", err)
		}
		if r.alive() {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes, nil
}

// Delete tells a node's host to end; called again, it says when it is gone.
func (d *Driver) Delete(ctx context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := d.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", id, pools.ErrGone)
	}
	if err != nil {
		return err
	}
	if r.alive() {
		if line := d.lines[id]; line != nil {
			line.Close()
			delete(d.lines, id)
		}
		if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("delete %s: %w", id, err)
		}
		return nil
	}
	r.Gone = true
	if err := d.write(r); err != nil {
		return err
	}
	os.RemoveAll(filepath.Join(d.Dir, id))
	return fmt.Errorf("delete %s: %w", id, pools.ErrGone)
}

// start writes the record, starts the host and waits until its doors are open.
func (d *Driver) start(r record) (pools.Node, error) {
	if err := d.write(r); err != nil {
		return pools.Node{}, err
	}
	spec := Spec{Node: r.Node, UserData: r.Launch.UserData, Namespaces: d.Namespaces, KeyFile: d.KeyFile,
		Dir: filepath.Join(d.Dir, r.Node.ID), Lifeline: d.Lifeline}
	cmd, err := d.host(spec)
	if err != nil {
		return pools.Node{}, fmt.Errorf("start host of %s: %w", r.Node.ID, err)
	}
	r.PID = cmd.Process.Pid
	r.Started = startTime(r.PID)
	go func() { _ = cmd.Wait() }() // reaped; its end shows in List
	reach, err := awaitReach(spec.Dir, r)
	if err != nil {
		_ = syscall.Kill(r.PID, syscall.SIGKILL)
		return pools.Node{}, fmt.Errorf("start host of %s: %w", r.Node.ID, err)
	}
	r.Node.Reach, r.Node.State = reach, pools.Running
	return r.Node, d.write(r)
}

// host starts the host process of a node.
func (d *Driver) host(spec Spec) (*exec.Cmd, error) {
	if err := errors.Join(os.RemoveAll(spec.Dir), os.MkdirAll(spec.Dir, 0o700)); err != nil {
		return nil, err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(spec.Dir, "spec.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(d.Dir, spec.Node.ID+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(d.Host[0], append(slices.Clone(d.Host[1:]), path)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + spec.Dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !d.Lifeline {
		return cmd, cmd.Start()
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Stdin = r
	if d.lines == nil {
		d.lines = map[string]*os.File{}
	}
	d.lines[spec.Node.ID] = w
	return cmd, cmd.Start()
}

// awaitReach waits for the host to say where its door is.
func awaitReach(dir string, r record) (string, error) {
	for range 500 {
		b, err := os.ReadFile(filepath.Join(dir, "reach"))
		if err == nil {
			return string(b), nil
		}
		if !r.alive() {
			return "", errors.New("it ended at once; its log says why")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", errors.New("it did not open its doors in 5 s")
}
