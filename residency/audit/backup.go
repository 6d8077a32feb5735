package audit

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// maxTile bounds a file of a log: a full bundle of the largest entries.
const maxTile = tileWidth * (2 + MaxEntry)

// Backup writes the tree of a log at rest as a tar: the tiles its checkpoint needs, then the checkpoint. Two backups of
// one tree are equal. fsys is the public tree. Restore checks what comes back, so a backup needs no trust.
func Backup(ctx context.Context, fsys fs.FS, w io.Writer) error {
	raw, err := fs.ReadFile(fsys, "checkpoint")
	if err != nil {
		return fmt.Errorf("back up log: %w", err)
	}
	c, err := parseSigned(raw)
	if err != nil {
		return fmt.Errorf("back up log: %w", err)
	}
	if err := backup(ctx, fsys, c, w); err != nil {
		return fmt.Errorf("back up log: %w", err)
	}
	return nil
}

// Backup writes the tree as it was under the newest checkpoint that met the quorum, while the log goes on.
func (l *Log) Backup(ctx context.Context, w io.Writer) error {
	l.mu.Lock()
	c := l.cosigned
	l.mu.Unlock()
	if c.text == "" {
		return fmt.Errorf("back up log: %w", ErrNotCosigned)
	}
	if err := backup(ctx, l.fsys, c, w); err != nil {
		return fmt.Errorf("back up log: %w", err)
	}
	return nil
}

func backup(ctx context.Context, fsys fs.FS, c signed, w io.Writer) error {
	out := tar.NewWriter(w)
	put := func(name string, data []byte) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644, Format: tar.FormatUSTAR}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := out.Write(data)
		return err
	}
	tiles := tilesFor(entryLevel, c.size)
	for level := 0; c.size>>(tileHeight*level) > 0; level++ {
		tiles = append(tiles, tilesFor(level, c.size)...)
	}
	for _, t := range tiles {
		data, err := exactTile(fsys, t)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := put(tilePath(t), data); err != nil {
			return err
		}
	}
	if err := put("checkpoint", c.bytes()); err != nil {
		return err
	}
	return out.Close()
}

// exactTile reads a tile at its width, also when a full one has taken its place.
func exactTile(fsys fs.FS, t tlog.Tile) ([]byte, error) {
	data, err := readTile(fsys, t)
	if err != nil {
		return nil, err
	}
	if t.L == entryLevel {
		_, end, err := splitBundle(data, t.W)
		return data[:end], err
	}
	if len(data) < t.W*tlog.HashSize {
		return nil, fmt.Errorf("%s: cut short", tilePath(t))
	}
	return data[:t.W*tlog.HashSize], nil
}

// Restore unpacks a backup beside dir, verifies it against t and only then puts it at dir, which must not exist. It
// cannot tell an old backup from a new one: Open refuses it while Dir + ".state" remembers more, and so does every
// witness that has seen more. What was entered since is then shown to be lost, not hidden.
func Restore(r io.Reader, dir string, t Trust) error {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("restore log: %s: %w", dir, fs.ErrExist)
	}
	tmp := dir + ".restoring"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("restore log: %w", err)
	}
	if err := restore(r, tmp, dir, t); err != nil {
		return fmt.Errorf("restore log: %w", errors.Join(err, os.RemoveAll(tmp)))
	}
	return nil
}

func restore(r io.Reader, tmp, dir string, t Trust) error {
	d := osDisk()
	if err := d.mkdir(tmp); err != nil {
		return err
	}
	s := &store{disk: d, public: tmp, private: tmp, known: map[string]bool{}}
	if err := unpack(r, s); err != nil {
		return err
	}
	if _, err := Verify(context.Background(), os.DirFS(tmp), t); err != nil {
		return err
	}
	if err := d.rename(tmp, dir); err != nil {
		return err
	}
	return d.sync(filepath.Dir(dir))
}

// unpack takes only files that a log has, each once.
func unpack(r io.Reader, s *store) error {
	seen := map[string]bool{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Name != "checkpoint" {
			if _, err := parsePath(h.Name); err != nil {
				return fmt.Errorf("%w: %w", ErrUnverified, err)
			}
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxTile || seen[h.Name] {
			return fmt.Errorf("%w: %s: not a file of a log, or twice", ErrUnverified, h.Name)
		}
		seen[h.Name] = true
		data, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		if err := s.publish([]publicFile{{h.Name, data}}); err != nil {
			return err
		}
	}
}
