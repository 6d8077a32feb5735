package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// settings come before the first verb: they say what there is.
var settings = map[string]func(*stage, []string) error{
	"rules":  (*stage).rules,  // rules FILE: instead of the shipped ones
	"budget": (*stage).budget, // budget '100 USD'
	"offer":  (*stage).offer,  // offer PLACE TYPE PRICE CURRENCY [free=N]
	"job":    (*stage).job,    // job 20m: how long a job runs
}

// verbs make things happen.
var verbs = map[string]func(*stage, []string) error{
	"submit":  (*stage).submit,  // submit [slice=NAME] [lease=1h] [budget=50] [purpose=P]
	"load":    (*stage).setLoad, // load 97: percent, on every GPU of the site
	"advance": (*stage).advance, // advance 20m
	"node":    (*stage).node,    // node mute|deaf|failing|honest
	"edge":    (*stage).edge,    // edge blind|sees
	"issuer":  (*stage).issuer,  // issuer away|back
	"fault":   (*stage).fault,   // fault KIND [ARGS]; fault none
	"vanish":  (*stage).vanish,  // the node ends behind everybody's back
	"revoke":  (*stage).revoke,  // a person revokes the burst
	"tighten": (*stage).tighten, // tighten FILE: other rules in force
	"kill":    (*stage).kill,    // kill controller [at KIND | on launch]
	"start":   (*stage).start,   // start controller
	"wipe":    (*stage).wipe,    // wipe stream
	"deliver": (*stage).deliver, // deliver again
	"flip":    (*stage).flip,    // flip ENTRY: one bit of it, on disk
	"look":    (*stage).lookAt,  // look N: at that burst
	"want":    (*stage).want,    // want WHAT ...
	"cmp":     (*stage).cmp,     // cmp journal FILE
}

func (s *stage) rules(args []string) error {
	law, err := s.law(args)
	s.o.Law = law
	return err
}

// law reads one rule file of the archive.
func (s *stage) law(args []string) (perform.InForce, error) {
	name, err := one(args)
	if err != nil {
		return perform.InForce{}, err
	}
	for _, f := range s.a.files {
		if f.name == name {
			return cast.Law(map[string][]byte{name: f.data})
		}
	}
	return perform.InForce{}, fmt.Errorf("the story has no file %q", name)
}

func (s *stage) budget(args []string) (err error) {
	s.o.Budget, err = policy.ParseMoney(strings.Join(args, " "))
	return err
}

func (s *stage) offer(args []string) error {
	free := 1
	if last := len(args) - 1; last > 0 && strings.HasPrefix(args[last], "free=") {
		n, err := strconv.Atoi(strings.TrimPrefix(args[last], "free="))
		if err != nil {
			return err
		}
		free, args = n, args[:last]
	}
	if len(args) < 3 {
		return errors.New("takes a place, a type and a price")
	}
	o, err := cast.Offer(args[0], args[1], strings.Join(args[2:], " "))
	s.o.Offerings = append(s.o.Offerings, sim.Offering{Offer: o, Capacity: free})
	return err
}

func (s *stage) job(args []string) (err error) {
	s.o.Job, err = span(args)
	return err
}

func (s *stage) submit(args []string) error {
	opts, err := options(args)
	if err != nil {
		return err
	}
	e, err := s.h.Engine()
	if err != nil {
		return err
	}
	j := cast.Job(cast.Pseudonymised)
	for k, v := range opts {
		switch k {
		case "slice":
			j.Slice = v
		case "purpose":
			j.Purpose = v
		case "lease":
			j.Lease, err = time.ParseDuration(v)
		case "budget":
			j.Budget, err = policy.ParseMoney(v + " USD")
		default:
			err = fmt.Errorf("a job has no %q", k)
		}
		if err != nil {
			return err
		}
	}
	_, err = e.Submit("user:alice", cast.Place, j)
	return err
}

func (s *stage) setLoad(args []string) error {
	a, err := one(args)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load, err = strconv.Atoi(strings.TrimSuffix(a, "%"))
	return err
}

func (s *stage) advance(args []string) error {
	d, err := span(args)
	time.Sleep(d)
	synctest.Wait()
	return err
}

func (s *stage) node(args []string) error {
	a, err := one(args)
	m, ok := map[string]cast.Manners{"mute": {Mute: true}, "deaf": {Deaf: true}, "failing": {Exit: 3}, "honest": {}}[a]
	if err != nil || !ok {
		return fmt.Errorf("a node is mute, deaf, failing or honest, not %q", args)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners = m
	return nil
}

func (s *stage) edge(args []string) error {
	a, err := one(args)
	s.h.Site.SetBlind(a == "blind")
	return err
}

func (s *stage) issuer(args []string) error {
	a, err := one(args)
	s.h.SetIssuerAway(a == "away")
	return err
}

func (s *stage) fault(args []string) error {
	f := s.cloud().Faults()
	n := 1
	if len(args) > 1 {
		if i, err := strconv.Atoi(args[1]); err == nil {
			n = i
		}
	}
	switch args[0] {
	case "none":
		f = sim.Faults{}
	case "lose-launch":
		f.LoseLaunches = n
	case "fail-launch":
		f.FailLaunches = n
	case "lose-delete":
		f.LoseDeletes = n
	case "stuck-deletes":
		f.StuckDeletes = true
	case "no-capacity":
		f.NoCapacity = append(f.NoCapacity, args[1:]...)
	case "dark":
		f.Dark = append(f.Dark, args[1:]...)
	case "moved": // moved PLACE PLACE: bought here, and is there
		from, err := residency.ParseAddress(args[1])
		to, err2 := residency.ParseAddress(args[2])
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		f.ProveAt = map[residency.Address]residency.Address{from: to}
	default:
		return fmt.Errorf("no fault %q", args[0])
	}
	s.cloud().Set(f)
	return nil
}

func (s *stage) vanish([]string) error {
	b, err := s.burst()
	if err != nil || b.Node == nil {
		return fmt.Errorf("no node to vanish: %w", err)
	}
	return s.cloud().Vanish(b.Node.ID)
}

func (s *stage) revoke([]string) error {
	b, err := s.burst()
	if err != nil {
		return err
	}
	e, err := s.h.Engine()
	if err != nil {
		return err
	}
	return e.Stop(b.Claim, "user:alice", burst.WhyRevoked, "no longer wanted")
}

func (s *stage) tighten(args []string) error {
	law, err := s.law(args)
	if err != nil {
		return err
	}
	s.h.Law = law // a restarted controller reads the same files
	e, err := s.h.Engine()
	if err != nil {
		return nil
	}
	return e.SetLaw("user:officer", law)
}

func (s *stage) kill(args []string) error {
	switch words := strings.Join(args, " "); {
	case words == "controller":
		return s.h.Kill()
	case words == "controller on launch":
		s.h.DieOnLaunch()
	case len(args) == 3 && args[1] == "at" && burst.Kinds[args[2]].New != nil:
		s.h.DieAt(func(l audit.Leaf) bool { return l.Entry.Kind == args[2] })
	default:
		return errors.New("takes: controller, controller at KIND, controller on launch")
	}
	return nil
}

func (s *stage) wipe([]string) error {
	js, err := jetstream.New(s.raw)
	if err != nil {
		return err
	}
	return js.DeleteStream(s.ctx, bus.Stream)
}

// deliver repeats every request ever heard: to the stream, and past it, as a
// bus would that had forgotten everything.
func (s *stage) deliver([]string) error {
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	if len(heard) == 0 {
		return errors.New("no request was heard")
	}
	for _, m := range heard {
		if err := s.raw.PublishMsg(m); err != nil {
			return err
		}
	}
	e, err := s.h.Engine()
	if err != nil {
		return err
	}
	for _, b := range e.Bursts() {
		for range 3 {
			if err := e.Ask(b.Request, b.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

// flip turns one bit of an entry on disk, and turns it back when called again.
func (s *stage) flip(args []string) error {
	leaves, err := s.h.Entries()
	if s.flipped == "" && err != nil {
		return err
	}
	name := s.flipped
	if name == "" {
		if name, err = bundle(s.h.LogDir()); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if s.flipped == "" {
		n, err := strconv.Atoi(strings.Join(args, ""))
		if err != nil || n >= len(leaves) {
			return fmt.Errorf("no entry %q among %d: %w", args, len(leaves), err)
		}
		s.flipped, s.flippedAt = name, offset(b, n)
	} else {
		s.flipped = ""
	}
	b[s.flippedAt] ^= 1
	return os.WriteFile(name, b, 0o644)
}

// bundle is the newest file of entries of a log with fewer than 256.
func bundle(dir string) (string, error) {
	full := filepath.Join(dir, "tile", "entries", "000")
	if _, err := os.Stat(full); err == nil {
		return full, nil
	}
	partial, err := filepath.Glob(full + ".p/*")
	newest, most := "", -1
	for _, p := range partial {
		if n, err := strconv.Atoi(filepath.Base(p)); err == nil && n > most {
			newest, most = p, n
		}
	}
	if newest == "" {
		return "", fmt.Errorf("no entries in %s: %w", dir, err)
	}
	return newest, nil
}

// offset is where a byte in the middle of entry n lies in a bundle.
func offset(b []byte, n int) int {
	at := 0
	for range n {
		at += 2 + int(b[at])<<8 + int(b[at+1])
	}
	return at + 2 + (int(b[at])<<8+int(b[at+1]))/2
}

func (s *stage) lookAt(args []string) error {
	a, err := one(args)
	if err != nil {
		return err
	}
	s.look, err = strconv.Atoi(a)
	return err
}
