// Command vault is a test tool: HashiCorp Vault's own core and HTTP API with
// only the engines our tests need, in memory, on loopback.
//
// It prints one line of JSON on stdout when it serves, for the parent's pipe:
//
//	{"addr":"http://127.0.0.1:40001","unseal_key":"...","root_token":"..."}
//
// Seal and unseal it over its API (sys/seal, sys/unseal). It stores nothing,
// and ends when its stdin closes, so that it cannot outlive its parent.
//
// *Non-goals*: production use, persistence, TLS. See README.md on the licence.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	log "github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/aws"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vhttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// ready is the line the parent waits for.
type ready struct {
	Addr      string `json:"addr"`
	UnsealKey string `json:"unseal_key"` // hex, as sys/unseal takes it
	RootToken string `json:"root_token"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address to serve on")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

// run serves until stdin closes.
func run(listen string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return fmt.Errorf("listen on %s: only loopback is served", listen)
	}
	addr := "http://" + ln.Addr().String()
	core, err := newCore(addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		served <- http.Serve(ln, vhttp.Handler.Handler(&vault.HandlerProperties{
			Core: core, ListenerConfig: &configutil.Listener{},
		}))
	}()
	line, err := open(core)
	if err != nil {
		return err
	}
	line.Addr = addr
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		served <- err
	}()
	return <-served
}

// newCore makes a sealed, empty Vault with the compiled-in engines.
func newCore(addr string) (*vault.Core, error) {
	lg := log.New(&log.LoggerOptions{Level: log.Warn})
	phys, err := inmem.NewInmem(nil, lg)
	if err != nil {
		return nil, err
	}
	engines := map[string]logical.Factory{
		"pki": pki.Factory, "transit": transit.Factory, "aws": aws.Factory, "kv": kv.Factory,
	}
	methods := map[string]logical.Factory{"approle": approle.Factory, "cert": cert.Factory}
	return vault.NewCore(&vault.CoreConfig{
		Physical: phys, Logger: lg, DisableMlock: true, RedirectAddr: addr,
		LogicalBackends: engines, CredentialBackends: methods,
		BuiltinRegistry: registry{
			consts.PluginTypeSecrets:    engines,
			consts.PluginTypeCredential: methods,
		},
	})
}

// open initialises and unseals core with one key share.
func open(core *vault.Core) (ready, error) {
	out, err := core.Initialize(context.Background(), &vault.InitParams{
		BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
	})
	if err != nil {
		return ready{}, err
	}
	if _, err := core.Unseal(out.SecretShares[0]); err != nil {
		return ready{}, err
	}
	return ready{UnsealKey: hex.EncodeToString(out.SecretShares[0]), RootToken: out.RootToken}, nil
}
