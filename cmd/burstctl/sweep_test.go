package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/residency"
)

// account is a cloud with these nodes, or one that refuses our credentials.
type account struct {
	nodes   []pools.Node
	refuses error
	ended   []string
}

func (a *account) Launch(context.Context, pools.Launch) (pools.Node, error) {
	return pools.Node{}, pools.ErrRefused
}

func (a *account) List(context.Context) ([]pools.Node, error) { return a.nodes, a.refuses }

func (a *account) Delete(_ context.Context, id string) error {
	a.ended = append(a.ended, id)
	return pools.ErrGone
}

func TestACloudThatRefusesUsIsARowAndTheOthersAreSwept(t *testing.T) {
	node := func(id string, expires time.Duration) pools.Node {
		return pools.Node{ID: id, Claim: "claim-1", Attempt: 1, At: residency.Address{Provider: "azure", Region: "x"},
			Launched: time.Now().Add(-time.Hour), Expires: time.Now().Add(expires)}
	}
	for _, dry := range []bool{true, false} {
		aws := &account{refuses: errors.New("AuthFailure: the credentials are not valid")}
		azure := &account{nodes: []pools.Node{node("vm-late", -time.Hour), node("vm-alive", time.Hour)}}
		fleet := cloud.Fleet{"aws": aws, "azure": azure}
		var out bytes.Buffer
		c := &cobra.Command{}
		c.SetOut(&out)
		c.SetContext(t.Context())
		s := listed(t.Context(), fleet)
		doomed, err := cloud.Reap(s.nodes, time.Now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		err = s.end(c, fleet, doomed, dry)
		if codeOf(err) != "BRS-1307" {
			t.Errorf("dry %v: ended with %v, want BRS-1307", dry, err)
		}
		if want := map[bool]int{true: 0, false: 1}[dry]; len(azure.ended) != want {
			t.Errorf("dry %v: %v were ended", dry, azure.ended)
		}
		for _, want := range []string{"AuthFailure", "vm-late", "expired"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("dry %v: no %q in\n%s", dry, want, out.String())
			}
		}
		if strings.Contains(out.String(), "vm-alive") {
			t.Errorf("dry %v: a node that is alive is on the list:\n%s", dry, out.String())
		}
	}
}
