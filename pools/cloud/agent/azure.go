package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// AzureKind is the kind of [Azure]'s evidence: the attested document, base64 of
// a PKCS #7 message that repeats the controller's nonce.
const AzureKind = "azure-attested"

// azureMetadata is where every Azure machine has its metadata service (Microsoft
// Learn, "Azure Instance Metadata Service").
const azureMetadata = "http://169.254.169.254"

// Versions of the service's two interfaces that are asked.
const (
	attestedVersion = "2021-02-01"
	eventsVersion   = "2020-07-01"
)

// Azure is the instance metadata service of an Azure machine. Proxies are not
// heeded and redirections not followed. Made by [NewAzure].
type Azure struct {
	base   string
	client http.Client
}

// NewAzure opens the service at base, http://host:port; "" is the address it has
// on Azure.
func NewAzure(base string) *Azure {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConns: 2,
		IdleConnTimeout: time.Minute}
	return &Azure{cmp.Or(base, azureMetadata), http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// ask asks one question within the patience there is.
func (a *Azure) ask(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Metadata", "true") // without it the service answers nobody
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("metadata service answers with status %d", resp.StatusCode)
	}
	return content(resp.Body)
}

// Evidence is the attested document. Azure signs the nonce and no key: it is the
// controller that binds the first document of a machine to the key that came
// with it.
func (a *Azure) Evidence(ctx context.Context, nonce, _ string) (residency.Evidence, error) {
	if nonce == "" { // the service would make one up
		return residency.Evidence{}, errors.New("read attested document: there is no nonce")
	}
	b, err := a.ask(ctx, "/metadata/attested/document", url.Values{"api-version": {attestedVersion}, "nonce": {nonce}})
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("read attested document: %w", err)
	}
	var d struct {
		Encoding  string `json:"encoding"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return residency.Evidence{}, fmt.Errorf("read attested document: %w", err)
	}
	if d.Encoding != "pkcs7" || d.Signature == "" {
		return residency.Evidence{}, fmt.Errorf("read attested document: its encoding is %q, want pkcs7", d.Encoding)
	}
	return residency.Evidence{Kind: AzureKind, Document: []byte(d.Signature)}, nil
}

// ends are the scheduled events that a node does not survive, in the words of a
// notice: its scratch and its key are lost with the machine's memory. A machine
// that is frozen goes on.
var ends = map[string]string{"Preempt": "terminate", "Terminate": "terminate", "Reboot": "reboot",
	"Redeploy": "redeploy"}

// Notice reads the scheduled events; of a spot machine that is evicted there is
// one about 30 seconds ahead, or none. The earliest that ends the node counts. A
// machine of ours is in no set, so that each event is its own. The first answer
// after a boot may take the service two minutes; until then there is an error.
func (a *Azure) Notice(ctx context.Context) (Notice, error) {
	b, err := a.ask(ctx, "/metadata/scheduledevents", url.Values{"api-version": {eventsVersion}})
	if err != nil {
		return Notice{}, fmt.Errorf("read scheduled events: %w", err)
	}
	var d struct {
		Incarnation *int64 `json:"DocumentIncarnation"`
		Events      []struct {
			Type      string `json:"EventType"`
			Status    string `json:"EventStatus"`
			NotBefore string
		}
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&d); err != nil {
		return Notice{}, fmt.Errorf("read scheduled events: %w", err)
	}
	if d.Incarnation == nil {
		return Notice{}, errors.New("read scheduled events: the answer is no such document")
	}
	var first Notice
	for _, e := range d.Events {
		action, fatal := ends[e.Type]
		if !fatal || e.Status == "Completed" || e.Status == "Canceled" {
			continue
		}
		at, err := http.ParseTime(e.NotBefore)
		if err != nil { // it has begun, or nobody can say when it does: now
			at = time.Now()
		}
		if first.At.IsZero() || at.Before(first.At) {
			first = Notice{Action: action, At: at.UTC()}
		}
	}
	return first, nil
}
