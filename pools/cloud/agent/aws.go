package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/burstctl/burstctl/residency"
)

// AWSKind is the kind of [AWS]'s evidence: an instance identity document and
// its rsa2048 signature (PKCS #7, SHA-256, RSA-2048), each as the service gives
// it. The service's two other signatures are never asked for: one is of a
// 1024-bit key that many regions share, one of SHA-1 and DSA.
const AWSKind = "aws-rsa2048"

// awsMetadata is where every EC2 instance has its metadata service
// (EC2 User Guide, "Access instance metadata").
const awsMetadata = "http://169.254.169.254"

// maxDocument bounds an answer of the service in bytes; a document with its
// signature is under four KiB.
const maxDocument = 64 << 10

// AWS is the EC2 instance metadata service, version 2 alone: a question goes
// with a session token, and where none can be had it is not asked. Proxies and
// the AWS_* environment are not heeded. Made by [NewAWS].
type AWS struct{ service *imds.Client }

// NewAWS opens the service at base, http://host:port; "" is the address it has
// on EC2.
func NewAWS(base string) *AWS {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, ResponseHeaderTimeout: time.Second,
		MaxIdleConns: 2, IdleConnTimeout: time.Minute}
	return &AWS{imds.New(imds.Options{Endpoint: cmp.Or(base, awsMetadata), ClientEnableState: imds.ClientEnabled,
		EnableFallback: aws.FalseTernary, HTTPClient: direct{http.Client{Transport: t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}})}
}

// direct asks the service itself, and notes in the question's [answered] what
// came of it: the errors that imds makes of it cannot be unwrapped.
type direct struct{ http.Client }

// answered is what last came of a question, to be found in its context.
type answered struct {
	err    error // none came
	status int   // it came with
}

// Do sends one request.
func (d direct) Do(r *http.Request) (*http.Response, error) {
	resp, err := d.Client.Do(r)
	if last, ok := r.Context().Value(answered{}).(*answered); ok {
		*last = answered{err: err}
		if err == nil {
			last.status = resp.StatusCode
		}
	}
	return resp, err
}

// ask asks within the patience there is. An error is plain: which address did
// not answer, or how it did; the status is that of the last answer.
func ask(ctx context.Context, question func(context.Context) (io.ReadCloser, error)) ([]byte, int, error) {
	var last answered
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, answered{}, &last), metadataPatience)
	defer cancel()
	r, err := question(ctx)
	switch {
	case err != nil && last.err != nil:
		return nil, 0, last.err
	case err != nil && last.status >= http.StatusMultipleChoices:
		return nil, last.status, fmt.Errorf("metadata service answers with status %d", last.status)
	case err != nil && ctx.Err() != nil:
		return nil, 0, fmt.Errorf("metadata service does not come to an end: %w", ctx.Err())
	case err != nil:
		return nil, 0, err
	}
	b, err := content(r)
	return b, last.status, err
}

// Evidence is the instance identity document and its signature. AWS signs no
// nonce and no key: it is the controller that binds the first document of an
// instance to the key that came with it.
func (a *AWS) Evidence(ctx context.Context, _, _ string) (residency.Evidence, error) {
	document, err := a.identity(ctx, "document")
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("read identity document: %w", err)
	}
	signature, err := a.identity(ctx, "rsa2048")
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("read identity document's signature: %w", err)
	}
	return residency.Evidence{Kind: AWSKind, Document: document, Signature: signature}, nil
}

// identity reads one item of the instance identity.
func (a *AWS) identity(ctx context.Context, item string) ([]byte, error) {
	b, _, err := ask(ctx, func(ctx context.Context) (io.ReadCloser, error) {
		out, err := a.service.GetDynamicData(ctx, &imds.GetDynamicDataInput{Path: "instance-identity/" + item})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	})
	return b, err
}

// Notice reads the spot interruption notice; the service has none (404) until
// about two minutes before EC2 takes the instance back.
func (a *AWS) Notice(ctx context.Context) (Notice, error) {
	b, status, err := ask(ctx, func(ctx context.Context) (io.ReadCloser, error) {
		out, err := a.service.GetMetadata(ctx, &imds.GetMetadataInput{Path: "spot/instance-action"})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	})
	if status == http.StatusNotFound {
		return Notice{}, nil
	}
	if err != nil {
		return Notice{}, fmt.Errorf("read spot notice: %w", err)
	}
	var n struct {
		Action string    `json:"action"`
		Time   time.Time `json:"time"`
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return Notice{}, fmt.Errorf("read spot notice: %w", err)
	}
	if n.Action == "" || n.Time.IsZero() {
		return Notice{}, errors.New("read spot notice: it lacks an action or a time")
	}
	return Notice{Action: n.Action, At: n.Time.UTC()}, nil
}

// content reads an answer, which the client already holds in memory.
func content(r io.ReadCloser) ([]byte, error) {
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	b = bytes.TrimSpace(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0 || len(b) > maxDocument:
		return nil, fmt.Errorf("the answer has %d bytes", len(b))
	}
	return b, nil
}
