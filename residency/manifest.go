package residency

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Manifest lists the bytes of one slice. Its digest is what is authorised and
// what is served. Made by [BuildManifest] on site, or by [DecodeManifest]; the
// zero Manifest is refused.
type Manifest struct {
	V         int    `json:"v"` // 1; 2 if it says what it was made of
	Slice     string `json:"slice"`
	Hash      string `json:"hash"`           // "sha256"
	ChunkSize int    `json:"chunk_size"`     // bytes; every chunk but a file's last is this long
	Files     []File `json:"files"`          // sorted by name
	Bytes     int64  `json:"bytes"`          // of all files
	Root      string `json:"root,omitempty"` // Merkle root over the chunks; version 2
	Made      *Made  `json:"made,omitempty"` // version 2
}

// File is one file of a manifest, by content.
type File struct {
	Name   string   `json:"name"` // relative, clean, slash-separated
	Size   int64    `json:"size"`
	Mode   uint32   `json:"mode"`   // 0o444, or 0o555 for a program
	Chunks []string `json:"chunks"` // SHA-256 of each chunk, lower-case hexadecimal
}

// The modes of a file, and the size of the chunks that BuildManifest cuts.
const (
	ModeData    uint32 = 0o444
	ModeProgram uint32 = 0o555
	ChunkSize          = 1 << 20
)

const maxChunk, maxFiles = 64 << 20, 1 << 20

// Encode writes the canonical JSON of a manifest that holds together.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b, nil
}

// DecodeManifest reads exactly what Encode writes: any other spelling of the
// same manifest is an error.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := decodeExact(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	return m, nil
}

// Digest names the manifest: "sha256:…" of its encoding, or "" if it has none.
func (m Manifest) Digest() string {
	b, err := m.Encode()
	if err != nil {
		return ""
	}
	return digest(b)
}

// check reports the first thing that does not hold together.
func (m Manifest) check() error {
	switch {
	case m.V != 1 && m.V != 2 || m.Hash != "sha256":
		return fmt.Errorf("version %d with hash %q is not known", m.V, m.Hash)
	case !isSliceName(m.Slice):
		return fmt.Errorf("slice %q is not dataset/slice", m.Slice)
	case m.ChunkSize < 1 || m.ChunkSize > maxChunk:
		return fmt.Errorf("chunk size %d is not within 1 and %d", m.ChunkSize, maxChunk)
	case len(m.Files) == 0 || len(m.Files) > maxFiles:
		return fmt.Errorf("%d files: not within 1 and %d", len(m.Files), maxFiles)
	}
	left, names := m.Bytes, make([]string, 0, len(m.Files))
	for i, f := range m.Files {
		if err := f.check(m.ChunkSize); err != nil {
			return fmt.Errorf("file %q: %w", f.Name, err)
		}
		if i > 0 && f.Name <= m.Files[i-1].Name {
			return fmt.Errorf("file %q is out of order", f.Name)
		}
		names = append(names, f.Name)
		if left -= f.Size; left < 0 {
			return fmt.Errorf("the files hold more than %d bytes", m.Bytes)
		}
	}
	if left != 0 {
		return fmt.Errorf("the files hold %d bytes less than %d", left, m.Bytes)
	}
	return errors.Join(CheckNames(names), m.checkMade())
}

// check reports the first thing wrong with one file.
func (f File) check(chunk int) error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	switch {
	case f.Mode != ModeData && f.Mode != ModeProgram:
		return fmt.Errorf("mode %#o is neither 0444 nor 0555", f.Mode)
	case f.Size < 0:
		return fmt.Errorf("size %d", f.Size)
	case f.Chunks == nil || int64(len(f.Chunks)) != f.Size/int64(chunk)+min(1, f.Size%int64(chunk)):
		return fmt.Errorf("%d chunks for %d bytes", len(f.Chunks), f.Size)
	}
	for _, c := range f.Chunks {
		if !isHash(c) {
			return fmt.Errorf("chunk %q is not a SHA-256", c)
		}
	}
	return nil
}

// checkName reports why a name must not be served.
func checkName(name string) error {
	if len(name) > 1024 || !fs.ValidPath(name) || name == "." || !utf8.ValidString(name) {
		return errors.New("name is not a clean relative path")
	}
	for _, r := range name {
		if r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Errorf("name holds %q", r)
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > 255 || strings.TrimRight(part, ". ") != part {
			return errors.New("name has a part that is too long or ends in a dot or blank")
		}
	}
	return nil
}

// fold maps names that differ in case only to one.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// BuildManifest reads the named files below root, or every file if none is
// named, and lists them by content. It refuses anything but regular files:
// a link, device or pipe anywhere on the way is an error. Give it the FS of an
// os.Root, so that nothing outside is reached.
func BuildManifest(slice string, root fs.FS, names ...string) (Manifest, error) {
	m := Manifest{V: 1, Slice: slice, Hash: "sha256", ChunkSize: ChunkSize}
	var err error
	if len(names) == 0 {
		if names, err = regular(root); err != nil {
			return Manifest{}, fmt.Errorf("build manifest of %s: %w", slice, err)
		}
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		f, err := readFile(root, name)
		if err != nil {
			return Manifest{}, fmt.Errorf("build manifest of %s: %w", slice, err)
		}
		m.Files = append(m.Files, f)
		m.Bytes += f.Size
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("build manifest of %s: %w", slice, err)
	}
	return m, nil
}

// regular lists every file below root; anything but files and directories is
// an error.
func regular(root fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", name)
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// readFile hashes one file, chunk by chunk.
func readFile(root fs.FS, name string) (File, error) {
	if err := checkName(name); err != nil {
		return File{}, fmt.Errorf("file %q: %w", name, err)
	}
	for d := path.Dir(name); d != "."; d = path.Dir(d) {
		if info, err := fs.Lstat(root, d); err != nil {
			return File{}, err
		} else if !info.IsDir() {
			return File{}, fmt.Errorf("%s is not a directory", d)
		}
	}
	if info, err := fs.Lstat(root, name); err != nil {
		return File{}, err
	} else if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file", name)
	}
	r, err := root.Open(name)
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file", name)
	}
	f := File{Name: name, Mode: ModeData, Chunks: []string{}}
	if info.Mode().Perm()&0o111 != 0 {
		f.Mode = ModeProgram
	}
	return f, f.read(r)
}

// read fills in size and chunks from r.
func (f *File) read(r io.Reader) error {
	buf := make([]byte, ChunkSize)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			sum := sha256.Sum256(buf[:n])
			f.Chunks = append(f.Chunks, hex.EncodeToString(sum[:]))
			f.Size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", f.Name, err)
		}
	}
}

// decodeExact decodes b into the struct v points to, and refuses it unless v
// encodes to the very same bytes: no unknown, doubled or reordered field, no
// blank, no other spelling.
func decodeExact(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		return errors.New("not in canonical form")
	}
	return nil
}
