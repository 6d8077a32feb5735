package main

import (
	"errors"
	"syscall"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/vault"
)

// fault is how the controller's parts say what went wrong, and its code.
type fault struct {
	err  error
	code frame.Code
}

// faults are looked through in order: what is sealed is also unavailable.
var faults = []fault{
	{audit.ErrFull, frame.DiskFull},
	{syscall.ENOSPC, frame.DiskFull},
	{audit.ErrUnverified, frame.LogUnverified},
	{audit.ErrBehind, frame.WitnessRefused},
	{audit.ErrNotCosigned, frame.EdgeAway},
	{vault.ErrSealed, frame.VaultSealed},
	{vault.ErrUnavailable, frame.VaultAway},
	{vault.ErrRefused, frame.VaultRefused},
	{bus.ErrForbidden, frame.NATSAway},
	{bus.ErrAway, frame.NATSAway},
	{pools.ErrCapacity, frame.NoCapacity},
	{pools.ErrQuota, frame.QuotaReached},
	{pools.ErrRefused, frame.LaunchFailed},
	{pools.ErrEnded, frame.NodeLost},
	{cloud.ErrBudget, frame.OverBudget},
	{perform.ErrBudgetAlert, frame.BudgetAlert},
	{perform.ErrNoLift, frame.ResidencyDenied}, // before ErrGlass, which it is as well
	{perform.ErrGlass, frame.GlassRefused},
	{perform.ErrStillGood, frame.ProbeAccepted},
	{syscall.EWOULDBLOCK, frame.StateLocked},
	{syscall.EADDRINUSE, frame.PortTaken},
}

// codeOf is the code of an error of one of the controller's parts, or "".
func codeOf(err error) frame.Code {
	if p, ok := errors.AsType[*frame.Problem](err); ok {
		return p.Code
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.code
		}
	}
	if _, ok := errors.AsType[*audit.ForkError](err); ok {
		return frame.WitnessRefused
	}
	if _, ok := errors.AsType[*bus.ConnectError](err); ok {
		return frame.NATSAway
	}
	if _, ok := errors.AsType[*perform.Held](err); ok {
		return frame.ReleaseRefused
	}
	if r, ok := errors.AsType[*bus.Rejection](err); ok && r.Reason != bus.Exhausted {
		return frame.RequestForged
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
