//go:build !cgo

package nvml

import (
	"context"
	"errors"
	"io"
)

// Helper needs cgo, without which this program was built.
func Helper(context.Context, io.Reader, io.Writer, []string) error {
	return errors.New("sample GPUs: this program was built without cgo")
}
