package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// signed is a checkpoint with signatures. The zero value is no checkpoint.
type signed struct {
	origin string
	size   int64
	root   tlog.Hash
	text   string
	sigs   []note.Signature
}

// newSigned signs the checkpoint of a tree.
func newSigned(origin string, size int64, root tlog.Hash, s note.Signer) (signed, error) {
	text := string(log.Checkpoint{Origin: origin, Size: uint64(size), Hash: root[:]}.Marshal())
	b, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return signed{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	return parseSigned(b)
}

// parseSigned reads a checkpoint without checking a signature. It refuses what would not encode to the same bytes
// again, extension lines, and sizes beyond int64.
func parseSigned(b []byte) (signed, error) {
	_, err := note.Open(b, note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return signed{}, fmt.Errorf("read checkpoint: %w", err)
	}
	n := unverified.Note
	var c log.Checkpoint
	rest, err := c.Unmarshal([]byte(n.Text))
	if err != nil {
		return signed{}, fmt.Errorf("read checkpoint: %w", err)
	}
	if len(rest) > 0 || len(c.Hash) != tlog.HashSize || c.Size > math.MaxInt64>>1 {
		return signed{}, errors.New("read checkpoint: not origin, size and root alone")
	}
	s := signed{c.Origin, int64(c.Size), tlog.Hash(c.Hash), n.Text, n.UnverifiedSigs}
	if string(c.Marshal()) != n.Text || !bytes.Equal(s.bytes(), b) {
		return signed{}, errors.New("read checkpoint: does not re-encode byte for byte")
	}
	return s, nil
}

// TreeOf reads the size and root a checkpoint claims. It checks no signature: it is for checkpoints that were verified
// before, such as those Witness.Cosign returned.
func TreeOf(checkpoint []byte) (tlog.Tree, error) {
	c, err := parseSigned(checkpoint)
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.Tree{N: c.size, Hash: c.root}, nil
}

// bytes encodes the checkpoint as a signed note. Signatures are re-encoded, so that base64 has one spelling.
func (s signed) bytes() []byte {
	var b strings.Builder
	b.WriteString(s.text + "\n")
	for _, sig := range s.sigs {
		raw, _ := base64.StdEncoding.DecodeString(sig.Base64)
		fmt.Fprintf(&b, "— %s %s\n", sig.Name, base64.StdEncoding.EncodeToString(raw))
	}
	return []byte(b.String())
}

// by splits the signatures into those that verify with the given keys, in the order of the note, and those of keys not
// given. A bad signature of a given key is an error.
func (s signed) by(keys ...note.Verifier) (known, unknown []note.Signature, err error) {
	n, err := note.Open(s.bytes(), note.VerifierList(keys...))
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return nil, unverified.Note.UnverifiedSigs, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("check checkpoint: %w", err)
	}
	return n.Sigs, n.UnverifiedSigs, nil
}

// add returns the checkpoint with more signatures; a newer one of the same key takes the place of the older.
func (s signed) add(sigs ...note.Signature) signed {
	all := s.sigs[:len(s.sigs):len(s.sigs)]
	for _, sig := range sigs {
		if i := indexSig(all, sig); i >= 0 {
			all = append(append(all[:i:i], sig), all[i+1:]...)
		} else {
			all = append(all, sig)
		}
	}
	s.sigs = all
	return s
}

func indexSig(sigs []note.Signature, one note.Signature) int {
	for i, s := range sigs {
		if s.Name == one.Name && s.Hash == one.Hash {
			return i
		}
	}
	return -1
}

// count tells how many holders of the keys are among the signatures: two keys of one name count once. It does not
// verify them.
func count(sigs []note.Signature, keys []note.Verifier) int {
	names := map[string]bool{}
	for _, k := range keys {
		if indexSig(sigs, note.Signature{Name: k.Name(), Hash: k.KeyHash()}) >= 0 {
			names[k.Name()] = true
		}
	}
	return len(names)
}

// selfVerifier checks a signature with the signer's verifier or, where it has none, by making it again, which Ed25519
// allows: it is deterministic.
type selfVerifier struct{ note.Signer }

func (v selfVerifier) Verify(msg, sig []byte) bool {
	if s, ok := v.Signer.(interface{ Verifier() note.Verifier }); ok {
		return s.Verifier().Verify(msg, sig)
	}
	again, err := v.Sign(msg)
	return err == nil && bytes.Equal(again, sig)
}
