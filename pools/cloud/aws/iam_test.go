package aws_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
)

// free are the actions that no policy needs to allow.
var free = []string{"sts:GetCallerIdentity"}

// allowed are the actions of configs/iam/aws-controller.json, sorted.
func allowed(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../../configs/iam/aws-controller.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range p.Statement {
		switch a := s.Action.(type) {
		case string:
			all = append(all, a)
		case []any:
			for _, one := range a {
				all = append(all, one.(string))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestThePolicyAllowsWhatTheDriverCallsAndNothingElse(t *testing.T) {
	c := start(t)
	d := open(t, c, options())
	l := launch("c-1")
	l.Offer.Market = policy.Spot
	n := must(t, d, l)
	if _, err := d.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Cause(cloudtest.Protected)
	eventually(t, "never gone", func() bool { return errors.Is(d.Delete(t.Context(), n.ID), pools.ErrGone) })
	called := slices.DeleteFunc(c.Actions(), func(a string) bool { return slices.Contains(free, a) })
	if want := allowed(t); !slices.Equal(called, want) {
		t.Errorf("called  %v\nallowed %v", called, want)
	}
}
