package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"github.com/burstctl/burstctl/residency/audit"
)

// The parts of a bundle besides the log's files, in their order. The log's files follow, sorted.
const (
	partReadme  = "README.txt"
	partVersion = "version.json"
	partTrust   = "trust.txt"
	logPrefix   = "log/"
)

// answerParts are the answers a bundle carries, each as "answers/<name>.json".
var answerParts = []string{"denials", "explain", "serves", "teardown", "transfers", "weak", "where"}

// Bounds of a bundle: bytes of one part, and how many parts.
const (
	maxPart  = 1 << 30
	maxTile  = 16 << 20
	maxParts = 1 << 21
)

// logPart is the spelling of a log's file in a bundle.
var logPart = regexp.MustCompile(`^log/(checkpoint|tile/(entries|[0-7])/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?)$`)

// part is one file of a bundle.
type part struct {
	name string
	data []byte
}

// partHeader is the one header that a part of this content has: stored, of no date, with no more to say.
func partHeader(name string, crc uint32, size uint64) *zip.FileHeader {
	return &zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc, CompressedSize64: size, UncompressedSize64: size}
}

// bundle is an evidence file that was opened and has the one form a bundle has. Close it.
type bundle struct {
	file *os.File
	zip  *zip.Reader
}

// Close gives back what was opened.
func (b bundle) Close() error { return b.file.Close() }

// openBundle opens an evidence file. Whatever a bundle would not be, byte for byte, is refused: other names, names
// twice, compression, dates, comments, anything between or behind the parts.
func openBundle(path string) (bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return bundle{}, err
	}
	b, err := strictBundle(f)
	if err != nil {
		return bundle{}, fmt.Errorf("open bundle: %w: %w", audit.ErrUnverified, errors.Join(err, f.Close()))
	}
	return b, nil
}

func strictBundle(f *os.File) (bundle, error) {
	info, err := f.Stat()
	if err != nil {
		return bundle{}, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return bundle{}, err
	}
	if err := fixedParts(z.File); err != nil {
		return bundle{}, err
	}
	left := info.Size()
	for i, p := range z.File {
		limit := uint64(maxPart)
		if logPart.MatchString(p.Name) {
			limit = maxTile
		}
		if p.Method != zip.Store || p.UncompressedSize64 > limit || p.CompressedSize64 != p.UncompressedSize64 {
			return bundle{}, fmt.Errorf("part %d is compressed, or larger than %d bytes", i, limit)
		}
		if left -= int64(p.UncompressedSize64); left < 0 {
			return bundle{}, errors.New("its parts hold more bytes than the file")
		}
	}
	return bundle{f, z}, again(f, z)
}

// fixedParts wants the parts of a bundle, all of them, in their order.
func fixedParts(parts []*zip.File) error {
	want := []string{partReadme, partVersion, partTrust}
	for _, name := range answerParts {
		want = append(want, "answers/"+name+".json")
	}
	if len(parts) > maxParts || len(parts) <= len(want) {
		return fmt.Errorf("%d parts", len(parts))
	}
	for i, p := range parts {
		switch {
		case i < len(want) && p.Name != want[i]:
			return fmt.Errorf("part %d is not %s", i, want[i])
		case i >= len(want) && !logPart.MatchString(p.Name):
			return fmt.Errorf("part %d is no file of a log", i)
		case i > len(want) && p.Name <= parts[i-1].Name:
			return fmt.Errorf("part %d is out of order", i)
		}
	}
	return nil
}

// again writes the bundle once more and wants the same bytes. Contents are not summed here: whoever reads a part is
// told if it is not what its header says.
func again(f *os.File, z *zip.Reader) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	same := &comparison{want: io.NewSectionReader(f, 0, info.Size())}
	w := zip.NewWriter(same)
	for _, p := range z.File {
		out, err := w.CreateRaw(partHeader(p.Name, p.CRC32, p.UncompressedSize64))
		if err != nil {
			return err
		}
		in, err := p.OpenRaw()
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if same.at != info.Size() {
		return errors.New("bytes behind its end")
	}
	return nil
}

// comparison takes only the bytes it expects.
type comparison struct {
	want io.Reader
	buf  []byte
	at   int64
}

// Write compares p with what comes next.
func (c *comparison) Write(p []byte) (int, error) {
	c.buf = slices.Grow(c.buf[:0], len(p))[:len(p)]
	if _, err := io.ReadFull(c.want, c.buf); err != nil || !bytes.Equal(c.buf, p) {
		return 0, fmt.Errorf("byte %d and on are not what a bundle of these parts has there", c.at)
	}
	c.at += int64(len(p))
	return len(p), nil
}

// part reads one part and checks its sum.
func (b bundle) part(name string) ([]byte, error) { return fs.ReadFile(b.zip, name) }

// log is the log in the bundle.
func (b bundle) log() (fs.FS, error) { return fs.Sub(b.zip, "log") }
