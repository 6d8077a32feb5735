package azuretest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	compute "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7/fake"
	network "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7/fake"
)

// session is one operation from its first request to its last poll or page. The
// official fakes keep what is under way by path: an operation that nobody polled
// to its end would answer the next one. Each session has fakes of its own.
type session struct {
	fakes policy.Transporter
	done  time.Time // when the operation ends; zero is at once
	fails *Answer
}

// sessionKey is the query parameter that follows an operation.
const sessionKey = "burst-session"

// Errors of a call that was spoiled, as a client sees them.
var (
	errLost  = errors.New("connection reset before the answer")
	errNever = errors.New("connection reset before the request")
)

// Do answers one request of the SDK's pipeline.
func (c *Cloud) Do(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	follows := strings.HasSuffix(req.URL.Path, "/get/fake/status") || strings.Contains(req.URL.Path, "/fake_page_")
	call := Call{At: time.Now().UTC(), Action: actionOf(req, follows), Name: nameOf(req)}
	c.mu.Lock()
	spoil, is := c.spoiled(call.Action, strings.Contains(req.URL.Path, "/fake_page_"))
	c.mu.Unlock()
	var resp *http.Response
	var err error
	switch {
	case is && spoil.Answer != nil:
		resp = spoil.Answer.response(req)
	case is && !spoil.Lose:
		return nil, errNever // it does not even come to be recorded
	default:
		resp, err = c.serve(req, &call, follows)
	}
	if resp != nil {
		call.Status = resp.StatusCode
	}
	c.mu.Lock()
	c.calls = append(c.calls, call)
	c.mu.Unlock()
	if err == nil {
		err = c.travel(req.Context())
	}
	if is && spoil.Lose {
		return nil, errLost
	}
	return resp, err
}

// travel is the way back.
func (c *Cloud) travel(ctx context.Context) error {
	if c.o.Latency <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(c.o.Latency)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// serve lets the official fakes handle a request, each operation with its own.
func (c *Cloud) serve(req *http.Request, call *Call, follows bool) (*http.Response, error) {
	query := req.URL.Query()
	c.mu.Lock()
	s := c.sessions[query.Get(sessionKey)]
	if !follows {
		s = c.begin(call)
		query.Set(sessionKey, c.number())
		c.sessions[query.Get(sessionKey)] = s
	}
	c.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("follow %s: no such operation", req.URL.Path)
	}
	if follows && time.Now().Before(s.done) {
		return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Body: http.NoBody, Request: req,
			Header: http.Header{"Fake-Poller-Status": {"InProgress"}}}, nil
	}
	if follows && s.fails != nil {
		return s.fails.response(req), nil
	}
	// The fakes panic when a context ends under them; the way back heeds it.
	inner := req.Clone(context.WithoutCancel(req.Context()))
	inner.URL.RawQuery = query.Encode()
	resp, err := s.fakes.Do(inner)
	if a, ok := errors.AsType[*Answer](err); ok {
		return a.response(req), nil
	}
	return resp, err
}

// begin opens a session with fakes whose handlers know it.
func (c *Cloud) begin(call *Call) *session {
	s := &session{}
	h := handlers{c, s, call}
	switch {
	case strings.HasPrefix(call.Action, "Microsoft.Network/"):
		nics := h.nicServer()
		s.fakes = network.NewInterfacesServerTransport(&nics)
	case strings.HasPrefix(call.Action, "Microsoft.Compute/disks/"):
		disks := h.diskServer()
		s.fakes = compute.NewDisksServerTransport(&disks)
	case strings.HasPrefix(call.Action, "Microsoft.Compute/sshPublicKeys/"):
		keys := h.keyServer()
		s.fakes = compute.NewSSHPublicKeysServerTransport(&keys)
	default:
		vms := h.vmServer()
		s.fakes = compute.NewVirtualMachinesServerTransport(&vms)
	}
	return s
}

// handlers are what the official fakes call for one operation.
type handlers struct {
	*Cloud
	session *session
	call    *Call
}

// actionOf is the right that a request needs: Azure's names, from the provider
// operations of Microsoft.Compute and Microsoft.Network.
func actionOf(req *http.Request, follows bool) string {
	_, rest, _ := strings.Cut(req.URL.Path, "/providers/")
	parts := strings.Split(rest, "/") // Microsoft.Compute/virtualMachines/NAME/deallocate
	if len(parts) < 2 {
		return req.Method + " " + req.URL.Path
	}
	kind := parts[0] + "/" + parts[1]
	if follows && strings.HasSuffix(rest, "/get/fake/status") {
		if parts[1] == "disks" {
			return parts[0] + "/locations/diskOperations/read"
		}
		return parts[0] + "/locations/operations/read"
	}
	switch {
	case req.Method == http.MethodPost:
		return kind + "/" + parts[len(parts)-1] + "/action"
	case len(parts) > 3 && !follows:
		kind += "/" + parts[3]
	}
	return kind + "/" + map[string]string{http.MethodGet: "read", http.MethodPut: "write", http.MethodPatch: "write",
		http.MethodDelete: "delete"}[req.Method]
}

// nameOf is the resource that a request is for.
func nameOf(req *http.Request) string {
	_, rest, _ := strings.Cut(req.URL.Path, "/providers/")
	if parts := strings.Split(rest, "/"); len(parts) > 2 && !strings.HasPrefix(parts[2], "fake_page_") {
		return parts[2]
	}
	return ""
}

// lastOf is the name in a resource ID.
func lastOf(id string) string { return path.Base(id) }
