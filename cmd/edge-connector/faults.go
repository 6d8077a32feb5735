package main

import (
	"errors"
	"syscall"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/pools/onprem/nvml"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/residency/bucket"
	"github.com/burstctl/burstctl/residency/columnar"
	"github.com/burstctl/burstctl/tunnel/control"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// files are the codes of what can be wrong with a site's files.
var files = map[site.Part]frame.Code{
	site.Keys: frame.KeyMissing, site.Rules: frame.BadRules, site.Places: frame.BadPlaces,
	site.Catalogue: frame.BadCatalogue, site.Slices: frame.SliceMissing,
}

// codeOf is the code of an error of one of the edge's parts, or "".
func codeOf(err error) frame.Code {
	denied, refused := errors.AsType[*slice.Denied](err)
	_, forked := errors.AsType[*audit.ForkError](err)
	told, said := errors.AsType[*control.Problem](err)
	_, bussed := errors.AsType[*bus.ConnectError](err)
	switch {
	case forked:
		return frame.WitnessRefused
	case refused && denied.Code == "receipt":
		return frame.ReceiptUnproven
	case said:
		return frame.Code(told.Code)
	case errors.Is(err, bucket.ErrAway):
		return frame.BucketAway
	case errors.Is(err, bucket.ErrDenied):
		return frame.BucketDenied
	case errors.Is(err, bucket.ErrChanged):
		return frame.SliceChanged
	case errors.Is(err, bucket.ErrRefused):
		return frame.SliceRefused
	case bussed || errors.Is(err, bus.ErrAway):
		return frame.NATSAway
	case errors.Is(err, slice.ErrChanged) || errors.Is(err, columnar.ErrChanged):
		return frame.SliceChanged
	case errors.Is(err, columnar.ErrRefused):
		return frame.SliceRefused
	case errors.Is(err, edge.ErrNotHeld):
		return frame.SliceMissing
	case errors.Is(err, nvml.ErrNoLibrary):
		return frame.NoNVML
	case errors.Is(err, syscall.ENOSPC):
		return frame.DiskFull
	case errors.Is(err, syscall.ECONNREFUSED):
		return frame.ControlAway
	}
	if f, ok := errors.AsType[*site.Fault](err); ok {
		return files[f.Part]
	}
	return ""
}

// coded gives an error of a part its code.
func coded(err error) error {
	if code := codeOf(err); code != "" {
		return frame.Wrap(code, err, "")
	}
	return err
}
