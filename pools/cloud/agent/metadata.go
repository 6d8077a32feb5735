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

// Metadata is the provider as its machine hears it: where the machine is, and
// whether it is about to be taken back. [OpenMetadata] makes one. Every call
// ends within seconds, whatever the service does.
type Metadata interface {
	// Evidence is the provider's word, bound to nonce and key where it can be.
	Evidence(ctx context.Context, nonce, nodeKey string) (residency.Evidence, error)
	// Notice is the zero Notice as long as nobody wants the machine back.
	Notice(ctx context.Context) (Notice, error)
}

// Notice says that the provider takes the machine back. The zero Notice says
// that it does not.
type Notice struct {
	Action string    // what it will do, in its own word: "terminate", "stop", "hibernate"
	At     time.Time // not before then
}

// metadataPatience bounds one question to a metadata service, retries included;
// evidence of AWS takes two.
const metadataPatience = 5 * time.Second

// OpenMetadata opens the metadata service of the kind that user data names:
// "aws", "azure" or "local". Nothing is probed: a machine that would guess could be made
// to guess. base is the service's http://host:port; "" is the provider's own.
func OpenMetadata(kind, base string) (Metadata, error) {
	switch {
	case kind == "local" && base != "":
		return Local{Base: base}, nil
	case kind == "local":
		return nil, fmt.Errorf("open metadata: kind %q needs an address", kind)
	case kind == "aws":
		return NewAWS(base), nil
	case kind == "azure":
		return NewAzure(base), nil
	}
	return nil, fmt.Errorf("open metadata: kind is %q, want local, aws or azure", kind)
}

// Local is the metadata service of the local driver.
type Local struct {
	Base string // http://host:port
}

// Notice is always the zero one: the local driver takes no machine back.
func (l Local) Notice(context.Context) (Notice, error) { return Notice{}, nil }

// Evidence asks the local provider for a document bound to nonce and key.
func (l Local) Evidence(ctx context.Context, nonce, nodeKey string) (residency.Evidence, error) {
	var e residency.Evidence
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
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
