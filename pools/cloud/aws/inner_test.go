package aws

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// coded is an error of EC2.
type coded string

func (c coded) Error() string     { return "api error " + string(c) }
func (c coded) ErrorCode() string { return string(c) }

func TestEachErrorOfEC2SaysWhatTheCallerDoesNext(t *testing.T) {
	sure := []error{pools.ErrCapacity, pools.ErrQuota, pools.ErrRefused, pools.ErrEnded, pools.ErrGone}
	for code, want := range map[string]error{
		"InsufficientInstanceCapacity": pools.ErrCapacity, "UnfulfillableCapacity": pools.ErrCapacity,
		"SpotMaxPriceTooLow": pools.ErrCapacity, "Unsupported": pools.ErrCapacity,
		"VcpuLimitExceeded": pools.ErrQuota, "MaxSpotInstanceCountExceeded": pools.ErrQuota,
		"UnauthorizedOperation": pools.ErrRefused, "InvalidAMIID.NotFound": pools.ErrRefused,
		"InvalidParameterValue": pools.ErrRefused, "IdempotentInstanceTerminated": pools.ErrEnded,
		"RequestLimitExceeded": nil, "AuthFailure": nil, "ExpiredToken": nil, "InvalidClientTokenId": nil,
		"InternalError": nil, "ServiceUnavailable": nil, "IdempotentParameterMismatch": nil, "": nil,
		"AnErrorOfTheYear2030": nil,
	} {
		err := told(fmt.Errorf("operation error EC2: RunInstances: %w", coded(code)))
		for _, s := range sure {
			if got := errors.Is(err, s); got != (s == want) {
				t.Errorf("%q says %v: %v, want %v", code, s, got, s == want)
			}
		}
	}
	if err := told(errors.New("connection reset")); classify(err) != unknown {
		t.Errorf("a broken connection is %v", classify(err))
	}
}

func TestTriesStayWithinTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(10, time.Second)
		from := time.Now()
		for range 120 {
			if _, err := p.GetAttemptToken(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(from); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("120 tries at 10 a second, with 20 in the bucket, took %v", took)
		}
	})
}
