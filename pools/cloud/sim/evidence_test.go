package sim_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
)

func TestAMovedNodesDocumentNamesWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, ed25519.SeedSize))
		c := sim.New(o)
		verifier := local.New(o.Key.Public().(ed25519.PublicKey))
		honest, err := c.Launch(t.Context(), launch("c-1", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Set(sim.Faults{ProveAt: map[residency.Address]residency.Address{frankfurt: virginia}})
		moved, err := c.Launch(t.Context(), launch("c-2", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Set(sim.Faults{})
		key := "sha256:" + strings.Repeat("ab", 32)
		if _, err := c.Evidence(honest.ID, "nonce-a", key); err == nil {
			t.Error("a node that still boots gives evidence")
		}
		time.Sleep(o.Boot)
		for id, want := range map[string]string{honest.ID: "eu-central-1", moved.ID: "us-east-1"} {
			e, err := c.Evidence(id, "nonce-a", key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := verifier.Verify(e, residency.Expect{Instance: id, Claimed: frankfurt, Nonce: "nonce-a",
				NodeKey: key, At: time.Now()})
			if err != nil || got.Region != want {
				t.Errorf("document of %s names %+v, %v, want %s", id, got, err, want)
			}
		}
		if moved.At != frankfurt {
			t.Errorf("the control plane names %v, want what was bought", moved.At)
		}
		if err := c.Vanish(moved.ID); err != nil {
			t.Error(err)
		}
		if _, err := c.Evidence(moved.ID, "nonce-a", key); err == nil {
			t.Error("an ended node gives evidence")
		}
	})
}
