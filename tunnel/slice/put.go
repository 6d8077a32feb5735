package slice

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// putTries is how often an artefact is begun anew when its connection breaks.
const putTries = 5

// Put returns an artefact of size bytes to the site's quarantine under a plain
// file name that the job's outputs list, and returns its digest once the edge
// has it durable. It reads src from the start again if a connection breaks.
func (r *Road) Put(ctx context.Context, name string, src io.ReaderAt, size int64) (string, error) {
	if !cleanArtefact(name) || size < 0 {
		return "", fmt.Errorf("put %q: want a plain name and a size", name)
	}
	var digest string
	err := errLost
	for try := 0; try < putTries && errors.Is(err, errLost); try++ {
		digest, err = r.putOnce(ctx, name, src, size)
	}
	if err != nil {
		return "", fmt.Errorf("put %s: %w", name, err)
	}
	return digest, nil
}

// putOnce sends the whole artefact over one connection.
func (r *Road) putOnce(ctx context.Context, name string, src io.ReaderAt, size int64) (string, error) {
	wait, done := context.WithTimeout(ctx, r.cfg.Patience)
	l, err := r.hold(wait)
	done()
	if err != nil {
		return "", err
	}
	defer l.release()
	opened, err := r.tell(ctx, l, opPutOpen, binary.BigEndian.AppendUint64(appendText(nil, name), uint64(size)), 0)
	if err != nil {
		return "", err
	}
	total, buf := sha256.New(), make([]byte, maxChunk)
	for off := int64(0); off < size; {
		part := buf[:min(maxChunk, size-off)]
		if n, err := src.ReadAt(part, off); n < len(part) {
			return "", errors.Join(fmt.Errorf("read artefact: %w", err), r.takeBack(ctx, l, opened.id))
		}
		hash := sha256.Sum256(part)
		total.Write(part)
		body := binary.BigEndian.AppendUint32(nil, opened.id)
		body = binary.BigEndian.AppendUint64(body, uint64(off))
		body = append(append(body, hash[:]...), part...)
		if _, err := r.tell(ctx, l, opPutChunk, body, 0); err != nil {
			return "", err
		}
		off += int64(len(part))
		r.sent.Add(int64(len(part)))
	}
	digest := sum(total)
	closed, err := r.tell(ctx, l, opPutClose, appendText(binary.BigEndian.AppendUint32(nil, opened.id), digest), 255)
	if err != nil {
		return "", err
	}
	f := fields{b: closed.body}
	if f.text() != digest || f.end() != nil {
		return "", errors.New("the edge committed something else")
	}
	return digest, nil
}

// takeBack drops an upload that cannot be finished.
func (r *Road) takeBack(ctx context.Context, l *link, handle uint32) error {
	_, err := r.tell(ctx, l, opPutClose, appendText(binary.BigEndian.AppendUint32(nil, handle), ""), 0)
	return err
}

// tell calls on one link, within the road's patience.
func (r *Road) tell(ctx context.Context, l *link, o op, body []byte, most uint32) (request, error) {
	ctx, done := context.WithTimeout(ctx, r.cfg.Patience)
	defer done()
	answer, err := l.call(ctx, o, body, most)
	if err != nil {
		return request{}, err
	}
	return answer, outcome(answer)
}
