package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/columnar"
)

// call runs a command line and returns what it printed and its code.
func call(args ...string) (string, frame.Code) {
	var out bytes.Buffer
	c := root()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.Execute()
	problem, _ := errors.AsType[*frame.Problem](err)
	if problem == nil {
		return out.String(), ""
	}
	return out.String() + err.Error(), problem.Code
}

// lake serves an object of one bucket, to whom it was told to.
func lake(t *testing.T, key, text string) *httptest.Server {
	t.Helper()
	mem := s3mem.New()
	if err := mem.CreateBucket("lake"); err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{"Last-Modified": "Wed, 25 Nov 2026 12:00:00 GMT"}
	if _, err := mem.PutObject("lake", key, meta, strings.NewReader(text), int64(len(text)), nil); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(mem).Server()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=edge-hq/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestSlicesOfABucketAreBuiltByTheCommand(t *testing.T) {
	script, err := txtar.ParseFile("testdata/slices.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range script.Files {
		files[f.Name] = string(f.Data)
	}
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	s3 := lake(t, "insurance/claims/part-000.csv", files["data/claims/part-000.csv"])
	put("bucket.keys", "edge-hq\ncanary-secret\n", 0o600)
	put("edge.yaml", files["edge.yaml"]+"buckets: [{endpoint: \""+s3.URL+"\", keys: bucket.keys}]\n", 0o600)
	put("catalogue.yaml", strings.Replace(files["catalogue.yaml"], "    table:\n",
		"    bucket: {endpoint: \""+s3.URL+"\", name: lake, prefix: insurance}\n    table:\n", 1), 0o600)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := columnar.NewKey(filepath.Join(dir, "pseudonym.key")); err != nil {
		t.Fatal(err)
	}
	slices := func(verb string) (string, frame.Code) {
		return call("slices", verb, "--config", filepath.Join(dir, "edge.yaml"))
	}
	for _, verb := range []string{"build", "list", "verify"} {
		out, code := slices(verb)
		if code != "" || strings.Count(out, "built") != 2 || !strings.Contains(out, "2 persons (smallest 2)") {
			t.Errorf("slices %s: %s\n%s", verb, code, out)
		}
	}
	wrong := func(what string, want frame.Code) {
		t.Helper()
		out, code := slices("verify")
		if code != want || strings.Contains(out, "canary") {
			t.Errorf("%s: %s, want %s\n%s", what, code, want, out)
		}
	}
	put("bucket.keys", "another\ncanary-secret\n", 0o600)
	wrong("access keys of another", frame.BucketDenied)
	put("bucket.keys", "canary-secret\n", 0o600)
	wrong("no access keys", frame.KeyMissing)
	if err := os.Chmod(filepath.Join(dir, "bucket.keys"), 0o644); err != nil {
		t.Fatal(err)
	}
	wrong("access keys that others may read", frame.KeyMissing)
	put("edge.yaml", files["edge.yaml"], 0o600)
	wrong("an endpoint that the edge was not told of", frame.KeyMissing)
	if out, code := slices("list"); code != "" || strings.Count(out, "built") != 2 {
		t.Errorf("what is built needs no access keys: %s\n%s", code, out)
	}
}
