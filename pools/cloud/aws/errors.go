package aws

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/pools"
)

// class is what an error of EC2 means to a launch.
type class int

const (
	unknown   class = iota // nobody knows what became of the call
	capacity               // nothing was made, none is to be had
	quota                  // nothing was made, the account may have no more
	throttle               // too many calls
	auth                   // the credentials are not taken, perhaps only now
	parameter              // nothing was made, and never will be by this call
	mismatch               // the token was used with other parameters
	ended                  // the token's instance is terminated
	notFound               // not there, or not visible yet
	protected              // the instance may not be terminated
)

// codes are the errors of EC2 by class (EC2 API Reference, "Error codes").
// What is not here is unknown.
var codes = map[class][]string{
	capacity: {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
		"InsufficientCapacity", "InsufficientCapacityOnHost", "InsufficientAddressCapacity", "UnfulfillableCapacity",
		"SpotMaxPriceTooLow", "InsufficientFreeAddressesInSubnet", "Unsupported", "UnsupportedOperation"},
	quota: {"VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotInstanceCountExceeded",
		"VolumeLimitExceeded", "NetworkInterfaceLimitExceeded", "PendingVerification", "ResourceLimitExceeded"},
	throttle: {"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
		"TooManyRequestsException", "EC2ThrottledException", "SlowDown"},
	auth: {"AuthFailure", "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId",
		"UnrecognizedClientException", "SignatureDoesNotMatch", "MissingAuthenticationToken", "InvalidAccessKeyId",
		"InvalidSignatureException", "Blocked"},
	parameter: {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired", "MissingParameter",
		"UnknownParameter", "InvalidKMSKey.InvalidState", "ValidationError", "UserDataExceedsSizeLimit"},
	mismatch:  {"IdempotentParameterMismatch"},
	ended:     {"IdempotentInstanceTerminated"},
	notFound:  {"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"},
	protected: {"OperationNotPermitted"},
}

// classify reads the class of an error off its code.
func classify(err error) class {
	var e interface {
		error
		ErrorCode() string
	}
	if !errors.As(err, &e) {
		return unknown
	}
	code := e.ErrorCode()
	for c, all := range codes {
		if slices.Contains(all, code) {
			return c
		}
	}
	if strings.HasPrefix(code, "Invalid") { // InvalidParameterValue, InvalidAMIID.NotFound, …
		return parameter
	}
	return unknown
}

// told is a launch's error in the words of the contract. What leaves the
// outcome unknown stays plain.
func told(err error) error {
	switch classify(err) {
	case capacity:
		return fmt.Errorf("%w: %w", pools.ErrCapacity, err)
	case quota:
		return fmt.Errorf("%w: %w", pools.ErrQuota, err)
	case parameter:
		return fmt.Errorf("%w: %w", pools.ErrRefused, err)
	case ended:
		return fmt.Errorf("%w: %w", pools.ErrEnded, err)
	case auth:
		return fmt.Errorf("credentials are not taken: %w", err)
	case throttle:
		return fmt.Errorf("too many calls: %w", err)
	}
	return err
}
