// Package bucket reads the files of a dataset that lies on site in a bucket: on
// a store with the S3 protocol (MinIO, Ceph, a NAS that speaks it).
//
// # What it does
//
// It lists what lies below a prefix, once, and so pins each object: its key,
// size and ETag. Then it reads whole objects, each only as it was listed, and
// lists again, which must find the same. What the bytes are by content is for
// the caller to hash (residency/columnar); an ETag is no digest.
//
// # What it refuses
//
// Keys that cannot be names of files beside one another ([residency.CheckNames]:
// "..", a leading slash, NUL, a backslash, two that differ in case only, "a" and
// "a/b"); a listing that repeats itself, is out of order or does not end; an
// object that is another one now, longer or shorter than listed, or sent in
// another coding; any redirect; any host but the one the catalogue names; and
// any way but TLS to another machine. Proxies that the environment names are not
// used: data would pass through them.
//
// # Who may read
//
// Access keys are in a file of the edge's, for the endpoint it is for
// ([ParseKeys]); a catalogue that names another endpoint gets none.
//
// # Non-goals
//
// It writes nothing. Old versions of objects are not read: what changed is a new
// version of the dataset, under a prefix of its own.
package bucket

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/burstctl/burstctl/residency"
)

// What a caller acts on.
var (
	// ErrAway: the store does not answer, or says that it cannot now. Trying
	// later may help.
	ErrAway = errors.New("the store is away")
	// ErrDenied: the store does not let these keys read it.
	ErrDenied = errors.New("the store denies these access keys")
	// ErrRefused: the store answered, and what it said is not taken. The error's
	// text is the reason.
	ErrRefused = errors.New("not taken")
	// ErrChanged, also ErrRefused: an object is not what it was when it was listed.
	ErrChanged = errors.New("changed")
)

// refusal is a reason that needs no word in front of it.
type refusal struct{ why, kind error }

func (r *refusal) Error() string { return r.why.Error() }

// Unwrap returns the reason and its kind.
func (r *refusal) Unwrap() []error { return []error{r.why, r.kind} }

func refuse(format string, a ...any) error { return &refusal{fmt.Errorf(format, a...), ErrRefused} }

func changed(format string, a ...any) error { return &refusal{refuse(format, a...), ErrChanged} }

// Keys are access keys for one endpoint. Made by [ParseKeys]; the zero Keys are
// refused.
type Keys struct{ access, secret string }

// String hides the keys.
func (k Keys) String() string { return "access keys" }

// GoString hides the keys.
func (k Keys) GoString() string { return k.String() }

// ParseKeys reads two lines: the access key, and the secret key. Its error
// repeats neither.
func ParseKeys(text string) (Keys, error) {
	access, secret, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range []string{access, secret} {
		if line == "" || strings.TrimSpace(line) != line || strings.ContainsAny(line, "\r\n\t ") {
			return Keys{}, errors.New("read access keys: not an access key and a secret key, each on a line of its own")
		}
	}
	return Keys{access, secret}, nil
}

// Files are the files of one version, pinned. Made by [Open]; not for concurrent
// use.
type Files struct {
	ctx    context.Context // of the whole reading: columnar's store has none
	store  *minio.Core
	bucket string
	prefix string
	names  []string // sorted; nil before the first listing
	pinned map[string]pin
}

// pin is an object as it was listed.
type pin struct {
	key, etag string
	size      int64
}

// Open prepares to read the files of a version: what lies below dir in the
// bucket. Roots are the CAs that may have signed the store's certificate; nil is
// the system's. Nothing is asked of the store yet.
func Open(ctx context.Context, b residency.Bucket, dir string, k Keys, roots *x509.CertPool) (*Files, error) {
	if k == (Keys{}) {
		return nil, refuse("there are no access keys for %s", b.Endpoint)
	}
	scheme, host, _ := strings.Cut(b.Endpoint, "://")
	core, err := minio.NewCore(host, &minio.Options{Creds: credentials.NewStaticV4(k.access, k.secret, ""),
		Secure: scheme == "https", Region: b.SignedFor(), BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
		Transport: newRoad(ctx, scheme, host, roots)})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", b.At(dir), err)
	}
	return &Files{ctx: ctx, store: core, bucket: b.Name, prefix: b.Keys(dir)}, nil
}

// Copy writes a file that was listed to w: all its bytes, or an error. What came
// before an error is in w.
func (f *Files) Copy(name string, w io.Writer) error {
	if err := f.copy(name, w); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (f *Files) copy(name string, w io.Writer) error {
	p, ok := f.pinned[name]
	if !ok {
		return refuse("it was not listed")
	}
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(p.etag); err != nil {
		return refuse("its ETag is none: %w", err)
	}
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	body, info, header, err := f.store.GetObject(ctx, f.bucket, p.key, opts)
	if err != nil {
		return worded(err)
	}
	defer body.Close()
	switch {
	case strings.Trim(info.ETag, `"`) != p.etag:
		return changed("it is another object than was listed")
	case info.Size != p.size || header.Get("Content-Range") != "":
		return changed("the store sends %d bytes of it, and listed %d", info.Size, p.size)
	case header.Get("Content-Encoding") != "" && header.Get("Content-Encoding") != "aws-chunked":
		return refuse("the store sends it in the coding %q", header.Get("Content-Encoding"))
	}
	n, err := io.Copy(w, io.LimitReader(&lively{body, stop}, p.size+1))
	switch {
	case n > p.size:
		return changed("it is longer than the %d bytes that were listed", p.size)
	case err == nil && n < p.size, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it broke off after %d of %d bytes", ErrAway, n, p.size)
	}
	return worded(err)
}
