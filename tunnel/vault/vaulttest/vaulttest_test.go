package vaulttest_test

import (
	"testing"

	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

func TestARealVaultSealsAndUnseals(t *testing.T) {
	s := vaulttest.Start(t)
	c := s.Client(t)
	if h, err := c.Sys().HealthWithContext(t.Context()); err != nil || h.Sealed || !h.Initialized {
		t.Fatalf("health %+v, %v, want unsealed", h, err)
	}
	s.Seal(t)
	if st, err := c.Sys().SealStatusWithContext(t.Context()); err != nil || !st.Sealed {
		t.Fatalf("seal status %+v, %v, want sealed", st, err)
	}
	s.Unseal(t)
	if _, err := c.Auth().Token().LookupSelfWithContext(t.Context()); err != nil {
		t.Fatalf("the root token after unsealing: %v", err)
	}
}
