package busserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/burstctl/burstctl/pools/bus"
)

// writeAuthority writes what an external server needs to know whom to trust.
func writeAuthority(dir string) error {
	a, err := open(dir)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`# Written by burstctl, anew at each revocation; do not edit.
# All of it is public. After a change: nats-server --signal reload
operator: %q
system_account: %q
resolver: MEMORY
resolver_preload: {
  %s: %q
  %s: %q
}
`, a.operator, a.systemKey, a.systemKey, a.system, a.burstKey, a.burst)
	return write(filepath.Join(dir, "authority.conf"), []byte(text), 0o644)
}

// writeConfig writes nats.conf unless there is one, which is then the operator's.
func writeConfig(dir string) error {
	path := filepath.Join(dir, "nats.conf")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	text := fmt.Sprintf(`# nats-server -c nats.conf
# Written once; yours from then on. Put the server's certificate and key where
# the tls block says.
server_name: burst
listen: "127.0.0.1:4222"
max_payload: %d

tls {
  cert_file: %q
  key_file: %q
  min_version: "1.3"
  timeout: 5
  # Ask clients for a certificate of this CA, besides their credentials:
  # ca_file: %q
  # verify: true
}

# An acknowledged message is on the disk. Give the store a volume of its own.
jetstream {
  store_dir: %q
  max_file_store: %d
  max_memory_store: %d
  sync_interval: always
}

include "authority.conf"
`, 2*bus.MaxBytes, filepath.Join(abs, "tls", "server.pem"), filepath.Join(abs, "tls", "server.key"),
		filepath.Join(abs, "tls", "ca.pem"), filepath.Join(abs, "jetstream"), storeLimit, 64<<20)
	return write(path, []byte(text), 0o644)
}
