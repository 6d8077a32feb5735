package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Local is the metadata service of the local driver.
type Local struct {
	Base string // http://host:port
}

// Evidence asks the local provider for a document bound to nonce and key.
func (l Local) Evidence(ctx context.Context, nonce, nodeKey string) (residency.Evidence, error) {
	var e residency.Evidence
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := url.Values{"nonce": {nonce}, "node_key": {nodeKey}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Base+"/identity?"+query.Encode(), nil)
	if err != nil {
		return e, fmt.Errorf("ask metadata service: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return e, fmt.Errorf("ask metadata service: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return e, fmt.Errorf("ask metadata service: status %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e); err != nil {
		return e, fmt.Errorf("read identity document: %w", err)
	}
	return e, nil
}
