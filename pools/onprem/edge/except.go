package edge

import (
	"errors"
	"fmt"

	"github.com/burstctl/burstctl/residency"
)

// except keeps the exception that a grant rests on, which came sealed beside
// it. The controller is not believed about it: two approvers whom this edge
// knows must have signed it, and the grant must not outlast it. Whether it
// covers the question is for the site's own rules to find, each time.
func (g *gate) except(grant residency.Grant, sealed string) error {
	if grant.Exception() == "" && sealed == "" {
		return nil
	}
	x, err := g.edge.Approvers.Open([]byte(sealed))
	switch {
	case err != nil:
		return err
	case grant.Exception() != x.Digest():
		return errors.New("the grant rests on another exception")
	case grant.Expires().After(x.Expires()) || grant.NotBefore().Before(x.Terms().NotBefore):
		return fmt.Errorf("the grant outlasts exception %s", x.ID())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.excepted = x
	return nil
}
