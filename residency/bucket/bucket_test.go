package bucket_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency/bucket"
)

func TestFilesOfAVersionAreListedAndReadWhole(t *testing.T) {
	s := open(t)
	for i := range 2100 { // three pages
		s.put(t, fmt.Sprintf("insurance/2025/dt=2025-07/part-%04d.csv", i), fmt.Sprint("rows of ", i))
	}
	s.put(t, "insurance/2025/empty", "")
	s.put(t, "insurance/2025/", "") // as a console makes a directory
	s.put(t, "insurance/2025/dt=2025-08/", "")
	s.put(t, "insurance/2025-q4/part.csv", "of another version")
	s.put(t, "other/2025/part.csv", "of another prefix")
	f := s.files(t)
	all := names(t, f)
	if len(all) != 2101 || all[0] != "dt=2025-07/part-0000.csv" || all[2100] != "empty" || !slices.IsSorted(all) {
		t.Errorf("listed %d files from %q to %q", len(all), all[0], all[len(all)-1])
	}
	if got := read(t, f, "dt=2025-07/part-1999.csv"); got != "rows of 1999" {
		t.Errorf("read %q", got)
	}
	if got := read(t, f, "empty"); got != "" {
		t.Errorf("read %q of an empty object", got)
	}
	if again := names(t, f); !slices.Equal(again, all) {
		t.Error("a second listing is another one")
	}
	if err := f.Copy("part.csv", io.Discard); !errors.Is(err, bucket.ErrRefused) {
		t.Errorf("a file that was not listed: %v", err)
	}
	for _, a := range s.said(t) {
		if !strings.Contains(a, "AWS4-HMAC-SHA256 Credential="+access) || !strings.HasPrefix(a, "GET /lake") {
			t.Fatalf("asked %s", a)
		}
	}
}

func TestAKeyThatCannotBeAFileBesideOthersIsRefused(t *testing.T) {
	for what, keys := range map[string][]string{
		"a way out":           {"../x"},
		"a way out below":     {"a/../../x"},
		"a step that is none": {"a/./x"},
		"from the root":       {"/etc/passwd"},
		"an empty step":       {"a//x"},
		"a directory of data": {"dir/"},
		"NUL":                 {"a\x00b"},
		"a backslash":         {`a\b`},
		"a new line":          {"a\nb"},
		"no UTF-8":            {"a\xffb"},
		"turned round":        {"a\u202eb"},
		"a dot at the end":    {"a."},
		"case":                {"Part.csv", "part.csv"},
		"case of a directory": {"A/x", "a"},
		"a file as directory": {"a", "a/b"},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t)
			for _, k := range append(keys, "fine.csv") {
				s.put(t, "insurance/2025/"+k, "data")
			}
			if all, err := s.files(t).List(); !errors.Is(err, bucket.ErrRefused) {
				t.Errorf("listed %q with error %v", all, err)
			}
		})
	}
}

func TestAnObjectThatIsNotAsItWasListedIsNotTaken(t *testing.T) {
	const name = "insurance/2025/part.csv"
	for what, tc := range map[string]struct {
		trouble func(s *shop) func(http.ResponseWriter, *http.Request) bool
		kind    error
	}{
		"it was changed before": {func(s *shop) func(http.ResponseWriter, *http.Request) bool {
			s.put(t, name, "1,2,4\n")
			return nil
		}, bucket.ErrChanged},
		"it was removed": {func(s *shop) func(http.ResponseWriter, *http.Request) bool {
			if _, err := s.mem.DeleteObject("lake", name); err != nil {
				t.Fatal(err)
			}
			return nil
		}, bucket.ErrChanged},
		"the store knows If-Match": {answer(http.StatusPreconditionFailed, nil, ""), bucket.ErrChanged},
		"it breaks off": {answer(200, http.Header{"Etag": {etag}, "Content-Length": {"6"}}, "1,2"),
			bucket.ErrAway},
		"it is shorter": {answer(200, http.Header{"Etag": {etag}}, "1,2"), bucket.ErrChanged},
		"it is longer":  {answer(200, http.Header{"Etag": {etag}}, "1,2,3\n4"), bucket.ErrChanged},
		"it has another ETag": {answer(200, http.Header{"Etag": {`"00000000000000000000000000000000"`}}, "1,2,3\n"),
			bucket.ErrChanged},
		"it has none": {answer(200, nil, "1,2,3\n"), bucket.ErrChanged},
		"it is a part": {answer(206, http.Header{"Etag": {etag}, "Content-Range": {"bytes 0-5/12"}}, "1,2,3\n"),
			bucket.ErrChanged},
		"it is coded": {answer(200, http.Header{"Etag": {etag}, "Content-Encoding": {"gzip"}}, "1,2,3\n"),
			bucket.ErrRefused},
		"it is denied": {answer(403, nil, "<Error><Code>AccessDenied</Code></Error>"), bucket.ErrDenied},
		"there is no such bucket": {answer(404, nil, "<Error><Code>NoSuchBucket</Code></Error>"),
			bucket.ErrRefused},
		"the store is away": {answer(503, nil, "<Error><Code>SlowDown</Code></Error>"), bucket.ErrAway},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.put(t, name, "1,2,3\n")
			f := s.files(t)
			names(t, f)
			s.mu.Lock()
			s.trouble = tc.trouble(s)
			s.mu.Unlock()
			var b bytes.Buffer
			err := f.Copy("part.csv", &b)
			if !errors.Is(err, tc.kind) {
				t.Errorf("read %q with error %v, want one that is %v", &b, err, tc.kind)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the secret: %v", err)
			}
			s.said(t)
		})
	}
}

// etag is that of "1,2,3\n".
const etag = `"0be43f8ef26d47a3d4e2e8d3b4b0d1b9"`

// answer answers every request for an object.
func answer(status int, h http.Header, text string) func(*shop) func(http.ResponseWriter, *http.Request) bool {
	return func(s *shop) func(http.ResponseWriter, *http.Request) bool {
		o, err := s.mem.HeadObject("lake", "insurance/2025/part.csv")
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !isGet(r) {
				return false
			}
			for key, values := range h {
				if values[0] == etag && err == nil {
					values = []string{fmt.Sprintf(`"%x"`, o.Hash)}
				}
				w.Header()[key] = values
			}
			w.Header().Set("Last-Modified", day)
			w.WriteHeader(status)
			io.WriteString(w, text)
			return true
		}
	}
}

func TestAStoreThatIsBusyIsAskedAgain(t *testing.T) {
	s := open(t)
	s.put(t, "insurance/2025/part.csv", "1,2,3\n")
	f := s.files(t)
	names(t, f)
	s.trouble = once(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<Error><Code>SlowDown</Code></Error>")
	})
	if got := read(t, f, "part.csv"); got != "1,2,3\n" {
		t.Errorf("read %q", got)
	}
}

func TestNobodyElseIsAskedAfterARedirect(t *testing.T) {
	var asked bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		s := open(t)
		s.trouble = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, other.URL+r.URL.RequestURI(), status)
			return true
		}
		if _, err := s.files(t).List(); !errors.Is(err, bucket.ErrRefused) || !strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if asked {
		t.Error("another host was asked")
	}
}

func TestAListingThatIsNoneIsRefused(t *testing.T) {
	page := func(more bool, keys ...string) string {
		b := strings.Builder{}
		fmt.Fprintf(&b, "<ListBucketResult><IsTruncated>%t</IsTruncated>", more)
		if more {
			b.WriteString("<NextContinuationToken>again</NextContinuationToken>")
		}
		for _, k := range keys {
			fmt.Fprintf(&b, `<Contents><Key>insurance/2025/%s</Key><Size>1</Size><ETag>"e"</ETag></Contents>`, k)
		}
		return b.String() + "</ListBucketResult>"
	}
	for what, tc := range map[string]struct{ text, why string }{
		"the same page for ever": {page(true, "a", "b"), `lists "insurance/2025/a" after "insurance/2025/b"`},
		"out of order":           {page(false, "b", "a"), "after"},
		"twice":                  {page(false, "a", "a"), "after"},
		"no page for ever":       {page(true), "did not end"},
		"cut off":                {page(false, "a")[:60], "EOF"},
		"no XML":                 {"<html>", "EOF"},
		"another prefix": {strings.Replace(page(false, "a"), "insurance/2025/a", "private/2025/a", 1),
			"does not lie there"},
		"no ETag": {strings.Replace(page(false, "a"), `"e"`, "", 1), "no ETag"},
		"no size": {strings.Replace(page(false, "a"), ">1<", ">-1<", 1), "no size"},
	} {
		s := open(t)
		s.trouble = func(w http.ResponseWriter, _ *http.Request) bool {
			io.WriteString(w, tc.text)
			return true
		}
		all, err := s.files(t).List()
		if err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: listed %q with error %v", what, all, err)
		}
	}
}

func TestFilesThatComeGoOrChangeMeanwhileAreFound(t *testing.T) {
	for why, change := range map[string]func(s *shop){
		"b.csv came":        func(s *shop) { s.put(t, "insurance/2025/b.csv", "x") },
		"a.csv was changed": func(s *shop) { s.put(t, "insurance/2025/a.csv", "x") },
		"a.csv went":        func(s *shop) { s.mem.DeleteObject("lake", "insurance/2025/a.csv") },
	} {
		s := open(t)
		s.put(t, "insurance/2025/a.csv", "1")
		f := s.files(t)
		names(t, f)
		change(s)
		if _, err := f.List(); !errors.Is(err, bucket.ErrChanged) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestOnlyAStoreWithATrustedCertificateIsRead(t *testing.T) {
	s := open(t)
	s.put(t, "insurance/2025/a.csv", "1")
	safe := httptest.NewUnstartedServer(s)
	safe.Config.ErrorLog = log.New(io.Discard, "", 0) // who turns away is wanted here
	safe.StartTLS()
	defer safe.Close()
	own := x509.NewCertPool()
	own.AddCert(safe.Certificate())
	lake := s.lake()
	lake.Endpoint = safe.URL
	for _, tc := range []struct {
		roots *x509.CertPool
		ok    bool
	}{{own, true}, {x509.NewCertPool(), false}, {nil, false}} {
		f, err := bucket.Open(patient(t), lake, "2025", keys(t), tc.roots)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.List(); (err == nil) != tc.ok || err != nil && !errors.Is(err, bucket.ErrRefused) {
			t.Errorf("with roots %v: %v", tc.roots, err)
		}
	}
	if _, err := bucket.Open(patient(t), lake, "2025", bucket.Keys{}, own); !errors.Is(err, bucket.ErrRefused) {
		t.Errorf("without keys: %v", err)
	}
}

func TestAccessKeysAreTwoLinesAndNeverPrinted(t *testing.T) {
	for _, text := range []string{"", "one\n", "\ntwo\n", "a b\nc\n", "a\nb\nc\n", "a\r\nb\r\n", " a\nb\n"} {
		if k, err := bucket.ParseKeys(text); err == nil {
			t.Errorf("%q is taken for %v", text, k)
		}
	}
	if k := keys(t); strings.Contains(fmt.Sprintf("%v %+v %#v", k, k, k), secret) {
		t.Errorf("printed: %#v", k)
	}
}
