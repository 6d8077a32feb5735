// Package signed reads what clouds sign: one PKCS #7 message by one signer
// (SignedData, RFC 2315 and RFC 5652), and the JSON object in it.
//
// # One way through
//
// [Read] gives a [Message] that shows nothing but who it says has signed it.
// Its content comes out of [Message.Open] alone, which takes the one
// certificate that the caller believes and returns the very bytes that its key
// signed. So a chain cannot be checked on one certificate and the signature on
// another, and no field can be read that was not signed.
//
// # Strict
//
// A message has one signer, SHA-256 and RSA, no revocation lists and no
// unsigned attributes; every byte of it has a meaning. BER's indefinite
// lengths and octet strings in parts are read, because AWS writes them; other
// spellings of a length, trailing bytes and what is larger than [MaxSize] are
// refused. A time the signer gives is never looked at.
//
// # Non-goals
//
// The package trusts no certificate and knows no cloud.
package signed

import (
	"errors"
	"fmt"
)

// MaxSize bounds a message in bytes; the largest seen has three thousand.
const MaxSize = 32 << 10

// Error is the check that failed, by its name, and why. Made by [Fail]; the
// names are listed in docs/attestation.md.
type Error struct {
	Check string
	Why   string
}

// Error is "check: why".
func (e *Error) Error() string { return e.Check + ": " + e.Why }

// Fail makes the error of a check.
func Fail(check, format string, args ...any) error {
	return &Error{Check: check, Why: fmt.Sprintf(format, args...)}
}

// Check is the name of the check that failed, or "" for another error.
func Check(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Check
	}
	return ""
}
