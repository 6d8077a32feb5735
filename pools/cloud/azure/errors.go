package azure

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/burstctl/burstctl/pools"
)

// capacity are the codes of a place that has no room: Azure's page on
// allocation failures, and Azure/karpenter-provider-azure#892.
var capacity = []string{"SkuNotAvailable", "AllocationFailed", "ZonalAllocationFailed",
	"OverconstrainedAllocationRequest", "OverconstrainedZonalAllocationRequest", "SpotMarketUnavailable"}

// refused are the codes of calls that are wrong in themselves.
var refused = []string{"InvalidParameter", "InvalidRequestContent", "InvalidRequestFormat", "InvalidResourceReference",
	"LocationNotAvailableForResourceType", "NoRegisteredProviderFound", "BadRequest", "PropertyChangeNotAllowed",
	"AuthorizationFailed", "LinkedAuthorizationFailed", "RequestDisallowedByPolicy", "PlatformImageNotFound",
	"GalleryImageNotFound", "MarketplacePurchaseEligibilityFailed", "ResourceGroupNotFound", "SubscriptionNotFound"}

// sure is what an error's code proves about a launch: [pools.ErrCapacity],
// [pools.ErrQuota] or [pools.ErrRefused]; nil if it proves nothing. Azure uses
// OperationNotAllowed for quotas, for throttles and for machines that are being
// deleted: only a text that speaks of a quota is one.
func sure(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return sureOf(f.code, f.message)
	}
	r, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= http.StatusInternalServerError {
		return nil
	}
	s := read(r)
	verdict := sureOf(r.ErrorCode, s.Message)
	for _, detail := range s.Details {
		if verdict == nil {
			verdict = sureOf(detail.Code, detail.Message)
		}
	}
	return verdict
}

// sureOf is sure of a code and the text that came with it.
func sureOf(code, text string) error {
	switch {
	case among(code, capacity):
		return pools.ErrCapacity
	case code == "QuotaExceeded", code == "OperationNotAllowed" && strings.Contains(strings.ToLower(text), "quota"):
		return pools.ErrQuota
	case among(code, refused):
		return pools.ErrRefused
	}
	return nil
}

func among(code string, list []string) bool {
	for _, c := range list {
		if strings.EqualFold(c, code) {
			return true
		}
	}
	return false
}

// isCode reports whether Azure answered with one of the codes.
func isCode(err error, codes ...string) bool {
	r, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && among(r.ErrorCode, codes)
}

// notFound reports whether Azure says that the resource asked for is not there.
// A missing group or subscription is no such answer: it says nothing of what is
// in it.
func notFound(err error) bool {
	r, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && r.StatusCode == http.StatusNotFound && among(r.ErrorCode, []string{"ResourceNotFound", "NotFound"})
}

// locked reports whether a lock in the account forbids the delete.
func locked(err error) bool { return isCode(err, "ScopeLocked", "CannotDeleteResource") }

// plain is Azure's error in one line: which call, the code, the beginning of the
// text. The SDK's own has the whole exchange over many lines.
func plain(what string, err error) error {
	r, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &answer{what: what, code: r.ErrorCode, status: r.StatusCode, message: brief(read(r).Message), cause: err}
}

// answer is an error that Azure answered with.
type answer struct {
	what, code, message string
	status              int
	cause               error
}

func (a *answer) Error() string {
	s := fmt.Sprintf("%s: Azure answers %d %s", a.what, a.status, a.code)
	if a.message != "" {
		s += ": " + a.message
	}
	return s
}

func (a *answer) Unwrap() error { return a.cause }

// longest is how much of Azure's own text an error repeats.
const longest = 200

// said is an error as Azure writes it, the same in the answer to a call and in
// that of a long operation. The cause may be among the details
// (Azure/azure-cli#2401).
type said struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []said `json:"details"`
}

// read reads what Azure said; the zero said if it cannot be read.
func read(r *azcore.ResponseError) said {
	if r.RawResponse == nil {
		return said{}
	}
	b, err := runtime.Payload(r.RawResponse)
	var body struct {
		Error said `json:"error"`
	}
	if err != nil || json.Unmarshal(b, &body) != nil {
		return said{}
	}
	return body.Error
}

// brief is the beginning of a text, in one line.
func brief(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// ErrThrottled: Azure or our own bucket wants the call later. Nothing is known
// about a launch that meets it.
var ErrThrottled = errors.New("throttled")

// throttled says until when.
type throttled struct{ until time.Time }

func (t *throttled) Error() string {
	return fmt.Sprintf("throttled until %s", t.until.UTC().Format(time.RFC3339))
}

// Is makes it an [ErrThrottled].
func (t *throttled) Is(target error) bool { return target == ErrThrottled }
