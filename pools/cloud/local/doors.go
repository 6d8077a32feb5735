package local

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
	attest "github.com/burstctl/burstctl/residency/attest/local"
)

// Ports of a node's doors, on the address of its space.
const (
	roadPort     = 7443
	metadataPort = "7481"
)

// maxCarried bounds the connections that one door carries at a time.
const maxCarried = 256

// carry takes what comes in at ln to what dial opens, until ln is closed. A
// connection that dial cannot serve is closed at once.
func carry(ctx context.Context, ln net.Listener, dial func(context.Context) (net.Conn, error)) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	room := make(chan struct{}, maxCarried)
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		room <- struct{}{}
		go func() {
			defer func() { <-room }()
			defer in.Close()
			out, err := dial(ctx)
			if err != nil {
				return
			}
			defer out.Close()
			done := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			defer done()
			join(in, out)
		}()
	}
}

// join copies both ways until both sides have said all they had to say.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way[0], way[1])
			if t, ok := way[0].(*net.TCPConn); ok && err == nil {
				_ = t.CloseWrite() // pass the end on; the other way may go on
				return
			}
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

// metadata is the provider's service on the node, as the node reaches it:
// GET /user-data, and GET /identity?nonce=…&node_key=… for a signed document.
func (h *host) metadata(data pools.UserData) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user-data", func(w http.ResponseWriter, _ *http.Request) { answer(w, data) })
	mux.HandleFunc("GET /identity", func(w http.ResponseWriter, r *http.Request) {
		nonce, key := r.URL.Query().Get("nonce"), r.URL.Query().Get("node_key")
		if nonce == "" || key == "" || len(nonce)+len(key) > 1024 {
			http.Error(w, "want a nonce and a node_key", http.StatusBadRequest)
			return
		}
		answer(w, h.evidence(nonce, key))
	})
	return mux
}

// evidence signs where this node is.
func (h *host) evidence(nonce, nodeKey string) residency.Evidence {
	at := h.Launch.Offer.At
	return attest.Sign(h.key, attest.Document{Provider: at.Provider, Region: at.Region, Zone: at.Zone,
		Instance: h.ID, Nonce: nonce, NodeKey: nodeKey, Issued: time.Now()})
}

// answer writes v; a node that went away needs none.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
