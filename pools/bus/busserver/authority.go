package busserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/burstctl/burstctl/pools/bus"
)

// DefaultTTL is how long a user's credentials last. Renew by [Revoke] and [AddEdge].
const DefaultTTL = 90 * 24 * time.Hour

// authority is the public part: what a server needs.
type authority struct {
	operator, system, burst string // JWTs
	systemKey, burstKey     string // public keys
}

// Init makes the authority in dir with a controller and these sites, and
// nats.conf beside it. On what is already there it only adds what is missing;
// it never makes a key or an account anew. Not to be run twice at once.
func Init(dir string, sites []string) error {
	for _, d := range []string{"", "keys", "creds", "users"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("make bus authority: %w", err)
		}
	}
	if err := makeAccounts(dir); err != nil {
		return fmt.Errorf("make bus authority: %w", err)
	}
	if err := addMissing(dir, bus.Durable, controllerMay()); err != nil {
		return err
	}
	for _, site := range sites {
		if err := bus.CheckSite(site); err != nil {
			return fmt.Errorf("add edge: %w", err)
		}
		if err := addMissing(dir, site, edgeMay(site)); err != nil {
			return err
		}
	}
	if err := writeAuthority(dir); err != nil {
		return err
	}
	return writeConfig(dir)
}

func addMissing(dir, name string, may permissions) error {
	if _, err := os.Stat(userFile(dir, name)); err == nil {
		return nil
	}
	return addUser(dir, name, may, DefaultTTL)
}

// makeAccounts makes operator and accounts where they are missing.
func makeAccounts(dir string) error {
	operator, err := seed(dir, "operator", nkeys.CreateOperator)
	if err != nil {
		return err
	}
	system, err := seed(dir, "system", nkeys.CreateAccount)
	if err != nil {
		return err
	}
	burst, err := seed(dir, "burst", nkeys.CreateAccount)
	if err != nil {
		return err
	}
	sys := jwt.NewAccountClaims(public(system))
	sys.Name = "SYS"
	acc := jwt.NewAccountClaims(public(burst))
	acc.Name = bus.Stream
	acc.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: 32 << 20, DiskStorage: storeLimit, Streams: 4, Consumer: 16, MaxBytesRequired: true,
	}
	acc.Limits.Exports, acc.Limits.Imports, acc.Limits.LeafNodeConn = 0, 0, 0
	op := jwt.NewOperatorClaims(public(operator))
	op.Name, op.SystemAccount = "burst", public(system)
	if err := writeClaims(dir, "system", sys, operator); err != nil {
		return err
	}
	if err := writeClaims(dir, "burst", acc, operator); err != nil {
		return err
	}
	return writeClaims(dir, "operator", op, operator)
}

// writeClaims signs and writes a JWT unless there is one. The account's holds
// the revocations: where users were issued, a lost one is not made anew.
func writeClaims(dir, name string, c jwt.Claims, by nkeys.KeyPair) error {
	path := filepath.Join(dir, name+".jwt")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if users, err := os.ReadDir(filepath.Join(dir, "users")); err != nil || len(users) > 0 {
		return errors.Join(fmt.Errorf("%s is lost, though users were issued under it: restore it", path), err)
	}
	text, err := c.Encode(by)
	if err != nil {
		return err
	}
	return write(path, []byte(text), 0o644)
}

// AddEdge issues the user of a site, for ttl, and returns the path of its
// credentials. A site that has one is refused: [Revoke] it first.
func AddEdge(dir, site string, ttl time.Duration) (string, error) {
	if err := bus.CheckSite(site); err != nil {
		return "", fmt.Errorf("add edge: %w", err)
	}
	return Creds(dir, site), addUser(dir, site, edgeMay(site), ttl)
}

// AddController issues the controller's user anew, as [AddEdge] does a site's.
func AddController(dir string, ttl time.Duration) (string, error) {
	return Creds(dir, bus.Durable), addUser(dir, bus.Durable, controllerMay(), ttl)
}

// Creds is where the credentials of a site, or of [bus.Durable], are written.
func Creds(dir, name string) string { return filepath.Join(dir, "creds", name+".creds") }

func userFile(dir, name string) string { return filepath.Join(dir, "users", name+".jwt") }

func addUser(dir, name string, may permissions, ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("add user %s: it would last %v", name, ttl)
	}
	if _, err := os.Stat(userFile(dir, name)); err == nil {
		return fmt.Errorf("add user %s: it exists; revoke it first", name)
	}
	account, err := readSeed(dir, "burst")
	if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	text, err := may.claims(name, public(user), ttl).Encode(account)
	if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	own, err := user.Seed()
	if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	creds, err := jwt.FormatUserConfig(text, own)
	if err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	// The public half first: what was handed out can be revoked.
	if err := write(userFile(dir, name), []byte(text), 0o644); err != nil {
		return fmt.Errorf("add user %s: %w", name, err)
	}
	return write(Creds(dir, name), creds, 0o600)
}

// Revoke ends the user of a site, or of [bus.Durable], for good, and removes
// its credentials here. Servers drop it when they reload.
func Revoke(dir, name string) error {
	text, err := os.ReadFile(userFile(dir, name))
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	user, err := jwt.DecodeUserClaims(string(text))
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	a, err := open(dir)
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	operator, err := readSeed(dir, "operator")
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	acc, err := jwt.DecodeAccountClaims(a.burst)
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	acc.Revoke(user.Subject)
	signed, err := acc.Encode(operator)
	if err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	if err := write(filepath.Join(dir, "burst.jwt"), []byte(signed), 0o644); err != nil {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	if err := writeAuthority(dir); err != nil {
		return err
	}
	if err := os.Remove(Creds(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("revoke user %s: %w", name, err)
	}
	return os.Remove(userFile(dir, name))
}
