package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// GenerateLogKey makes an Ed25519 key for a log of that origin, as a signed-note private key (secret) and verifier key.
// note.NewSigner and note.NewVerifier read them.
func GenerateLogKey(origin string) (skey, vkey string, err error) {
	skey, vkey, err = note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", "", fmt.Errorf("generate log key: %w", err)
	}
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", "", fmt.Errorf("generate log key %q: %w", origin, err)
	}
	return skey, vkey, nil
}

// GenerateWitnessKey makes an Ed25519 cosignature/v1 key, as a private key (secret) and a verifier key of type 0x04.
// NewWitnessSigner and CosignatureVerifier read them.
func GenerateWitnessKey(name string) (skey, vkey string, err error) {
	skey, plain, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("generate witness key: %w", err)
	}
	if vkey, err = fnote.VKeyToCosignatureV1(plain); err != nil {
		return "", "", fmt.Errorf("generate witness key %q: %w", name, err)
	}
	return skey, vkey, nil
}

// VerifierKey is the verifier key of a role's private key, as GenerateLogKey or GenerateWitnessKey made it. Its errors
// never quote the secret.
func VerifierKey(role, skey string) (string, error) {
	f := strings.SplitN(skey, "+", 5)
	if _, err := note.NewSigner(skey); err != nil || len(f) != 5 {
		return "", errors.New("read key: not a note signer's key")
	}
	raw, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", errors.New("read key: not Ed25519")
	}
	pub, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("read key: not Ed25519")
	}
	plain, err := note.NewEd25519VerifierKey(f[2], pub)
	if err != nil || role != RoleWitness {
		return plain, err
	}
	return fnote.VKeyToCosignatureV1(plain)
}

// CosignatureVerifier reads the verifier key of a witness. The key must be of a cosignature type, and its hash must be
// the hash of the key: the formats library checks neither.
func CosignatureVerifier(vkey string) (note.Verifier, error) {
	v, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, fmt.Errorf("read witness key: %w", err)
	}
	if !strings.HasPrefix(vkey, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) {
		return nil, errors.New("read witness key: its hash is not that of a cosignature/v1 key")
	}
	return v, nil
}

// WitnessSigner makes cosignature/v1 signatures. NewWitnessSigner makes it.
type WitnessSigner struct {
	*fnote.Signer
	key ed25519.PrivateKey
}

// NewWitnessSigner reads a private key that GenerateWitnessKey made.
func NewWitnessSigner(skey string) (*WitnessSigner, error) {
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		return nil, fmt.Errorf("read witness key: %w", err)
	}
	f := strings.SplitN(skey, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(f[len(f)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("read witness key: not Ed25519")
	}
	return &WitnessSigner{s, ed25519.NewKeyFromSeed(raw[1:])}, nil
}

// SignAt cosigns the body of a checkpoint at a time, to the second. Sign does so at the time the system gives.
func (s *WitnessSigner) SignAt(msg []byte, now time.Time) ([]byte, error) {
	if now.Unix() < 0 {
		return nil, errors.New("cosign: a time before 1970")
	}
	text := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", now.Unix(), msg)
	sig := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return append(sig, ed25519.Sign(s.key, text)...), nil
}
