package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
)

// Evidence is what the metadata service on a running node answers: a document
// that names where the node really is, bound to nonce and the digest of the
// node's key. A node that is not running, or a cloud without a key, has none.
func (c *Cloud) Evidence(id, nonce, nodeKey string) (residency.Evidence, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	i := c.find(func(i *Instance) bool { return i.Node.ID == id && i.Ended.IsZero() })
	switch {
	case i == nil || now.Before(i.Node.Launched.Add(c.o.Boot)):
		return residency.Evidence{}, fmt.Errorf("give evidence of %s: no such node is running", id)
	case c.o.Key == nil:
		return residency.Evidence{}, errors.New("give evidence: the cloud has no key")
	}
	return local.Sign(c.o.Key, local.Document{Provider: i.really.Provider, Region: i.really.Region,
		Zone: i.really.Zone, Instance: id, Nonce: nonce, NodeKey: nodeKey, Issued: now.Truncate(time.Second)}), nil
}
