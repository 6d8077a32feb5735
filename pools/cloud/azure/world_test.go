package azure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
)

const (
	t4       = "Standard_NC4as_T4_v3"
	machines = "Microsoft.Compute/virtualMachines/"
	cards    = "Microsoft.Network/networkInterfaces/"
)

// world is a cloud and the driver of one process.
type world struct {
	*testing.T
	cloud *azuretest.Cloud
	d     *azure.Driver
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		f(&world{t, c, open(t, options(c))})
	})
}

// ask is a launch of claim that lasts two hours.
func ask(claim string) pools.Launch {
	return pools.Launch{Claim: claim, Attempt: 1, Offer: offer(amsterdam, t4),
		Expires:  time.Now().UTC().Add(2 * time.Hour),
		UserData: pools.UserData{Control: "10.0.0.1:8443", CA: "sha256:00", Claim: claim, Attempt: 1}}
}

// launch launches l or ends the test.
func (w *world) launch(l pools.Launch) pools.Node {
	w.Helper()
	n, err := w.d.Launch(w.Context(), l)
	if err != nil {
		w.Fatalf("launch: %v", err)
	}
	return n
}

// refuses launches l, which must fail as want says; nil is an error that proves nothing.
func (w *world) refuses(l pools.Launch, want error) error {
	w.Helper()
	n, err := w.d.Launch(w.Context(), l)
	if err == nil {
		w.Fatalf("launched %+v, want %v", n, want)
	}
	for _, sure := range []error{pools.ErrCapacity, pools.ErrQuota, pools.ErrRefused, pools.ErrEnded} {
		if errors.Is(err, sure) != (want == sure) {
			w.Fatalf("launch: %v, want %v", err, want)
		}
	}
	return err
}

// list is the driver's listing.
func (w *world) list() []pools.Node {
	w.Helper()
	nodes, err := w.d.List(w.Context())
	if err != nil {
		w.Fatalf("list: %v", err)
	}
	return nodes
}

// end deletes a node until it is gone, at most so often, once a minute.
func (w *world) end(id string, most int) {
	w.Helper()
	for range most {
		err := w.d.Delete(w.Context(), id)
		if errors.Is(err, pools.ErrGone) {
			return
		}
		if err != nil {
			w.Fatalf("delete: %v", err)
		}
		time.Sleep(time.Minute)
	}
	w.Fatalf("%s is not gone; left: %v", id, w.cloud.Left())
}

// left compares what is there with words that it must begin with.
func (w *world) left(kinds ...string) {
	w.Helper()
	var got []string
	for _, s := range w.cloud.Left() {
		kind, _, _ := strings.Cut(s, " ")
		got = append(got, kind)
	}
	if !slices.Equal(got, kinds) {
		w.Fatalf("left: %v, want %v", w.cloud.Left(), kinds)
	}
}

// spot makes the offer of a launch one of the spot market.
func spot(l pools.Launch) pools.Launch {
	l.Offer.Market = policy.Spot
	return l
}
