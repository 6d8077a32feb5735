package bucket

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/burstctl/burstctl/residency"
)

// maxKeys bounds a version's files, and maxPages the answers a listing takes.
const maxKeys, maxPages = 1 << 20, 1<<20/1000 + 64

// List names the files, sorted, as paths below the version's prefix. The first
// call pins them; a later one that finds anything else is [ErrChanged].
func (f *Files) List() ([]string, error) {
	found, err := f.list()
	if err != nil {
		return nil, fmt.Errorf("list %s/%s: %w", f.bucket, f.prefix, err)
	}
	if f.pinned == nil {
		names := slices.Sorted(maps.Keys(found))
		if err := residency.CheckNames(names); err != nil {
			return nil, refuse("list %s/%s: %w", f.bucket, f.prefix, err)
		}
		f.names, f.pinned = names, found
	}
	for name, p := range found {
		if was, ok := f.pinned[name]; !ok {
			return nil, changed("%s came while the bucket was read", name)
		} else if was != p {
			return nil, changed("%s was changed while the bucket was read", name)
		}
	}
	for name := range f.pinned {
		if _, ok := found[name]; !ok {
			return nil, changed("%s went while the bucket was read", name)
		}
	}
	return slices.Clone(f.names), nil
}

// list asks page for page. Keys come in order, so one that does not come after
// the one before is a store that repeats itself.
func (f *Files) list() (map[string]pin, error) {
	found, last, token := map[string]pin{}, "", ""
	for range maxPages {
		page, err := f.store.ListObjectsV2(f.bucket, f.prefix, "", token, "", 1000)
		if err != nil {
			return nil, worded(err)
		}
		for _, o := range page.Contents {
			if o.Key <= last {
				return nil, refuse("the store lists %q after %q", o.Key, last)
			}
			if last = o.Key; marker(o) {
				continue
			}
			name, err := f.name(o)
			if err != nil {
				return nil, err
			}
			found[name] = pin{o.Key, strings.Trim(o.ETag, `"`), o.Size}
			if len(found) > maxKeys {
				return nil, refuse("there are more than %d objects", maxKeys)
			}
		}
		if !page.IsTruncated {
			return found, nil
		}
		token = page.NextContinuationToken
	}
	return nil, refuse("the listing did not end after %d answers", maxPages)
}

// marker reports whether an object only stands for a directory, as consoles
// make them.
func marker(o minio.ObjectInfo) bool { return o.Size == 0 && strings.HasSuffix(o.Key, "/") }

// name is an object's path below the prefix.
func (f *Files) name(o minio.ObjectInfo) (string, error) {
	name, ok := strings.CutPrefix(o.Key, f.prefix)
	switch {
	case !ok:
		return "", refuse("the store lists %q, which does not lie there", o.Key)
	case o.Size < 0 || strings.Trim(o.ETag, `"`) == "":
		return "", refuse("the store lists %q with no size or no ETag", o.Key)
	case o.IsDeleteMarker:
		return "", refuse("the store lists %q, which is deleted", o.Key)
	}
	return name, nil
}

// worded gives an answer of the store its kind.
func worded(err error) error {
	if err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrAway) {
		return err
	}
	e, ok := errors.AsType[minio.ErrorResponse](err)
	switch {
	case !ok:
		return err
	case e.StatusCode == http.StatusPreconditionFailed || e.StatusCode == http.StatusNotFound && e.Code == minio.NoSuchKey:
		return changed("it is another object than was listed, or none")
	case e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w (%s)", ErrDenied, e.Code)
	}
	return refuse("the store answers %d %s", e.StatusCode, e.Code)
}
