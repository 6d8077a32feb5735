package bucket_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/bucket"
)

// shop is a store with the S3 protocol, and trouble in front of it.
type shop struct {
	*httptest.Server
	mem   *s3mem.Backend
	fake  http.Handler
	mu    sync.Mutex
	asked []string // method, path and query of each request
	// trouble answers in the store's stead, or reports false.
	trouble func(w http.ResponseWriter, r *http.Request) bool
}

// open opens a store with one bucket, lake.
func open(t testing.TB) *shop {
	t.Helper()
	s := &shop{mem: s3mem.New()}
	s.fake = gofakes3.New(s.mem).Server()
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	if err := s.mem.CreateBucket("lake"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
	trouble := s.trouble
	s.mu.Unlock()
	if trouble == nil || !trouble(w, r) {
		s.fake.ServeHTTP(w, r)
	}
}

// put puts an object, whatever its key.
func (s *shop) put(t testing.TB, key, text string) {
	t.Helper()
	meta := map[string]string{"Last-Modified": day}
	_, err := s.mem.PutObject("lake", key, meta, strings.NewReader(text), int64(len(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
}

// lake is the bucket as a catalogue names it.
func (s *shop) lake() residency.Bucket {
	return residency.Bucket{Endpoint: s.URL, Name: "lake", Prefix: "insurance"}
}

// files opens what lies below insurance/2025.
func (s *shop) files(t testing.TB) *bucket.Files {
	t.Helper()
	f, err := bucket.Open(patient(t), s.lake(), "2025", keys(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// patient is a context that gives a store in trouble a second.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// day is when every object was put.
const day = "Wed, 25 Nov 2026 12:00:00 GMT"

const access, secret = "AKIATEST", "canary-secret"

func keys(t testing.TB) bucket.Keys {
	t.Helper()
	k, err := bucket.ParseKeys(access + "\n" + secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// names lists the files, which must work.
func names(t testing.TB, f *bucket.Files) []string {
	t.Helper()
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// read reads a file, which must work.
func read(t testing.TB, f *bucket.Files, name string) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Copy(name, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// isGet reports whether a request is for an object, and not for a list.
func isGet(r *http.Request) bool { return !r.URL.Query().Has("list-type") }

// once answers one request by do, and then no more.
func once(do func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var first sync.Once
	return func(w http.ResponseWriter, r *http.Request) (done bool) {
		if isGet(r) {
			first.Do(func() { do(w, r); done = true })
		}
		return done
	}
}

// said wants every request to have come, and none of them to hold the secret.
func (s *shop) said(t testing.TB) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.asked, func(a string) bool { return strings.Contains(a, secret) }) {
		t.Errorf("the secret key travelled: %q", s.asked)
	}
	return slices.Clone(s.asked)
}
