package frame

import "fmt"

// Code names a kind of error for ever: "BRS-" and four digits. The zero Code is
// no code; [Wrap] reads it as [Failed].
type Code string

// Exit statuses. They are a promise to scripts and are listed by
// "help exit-codes".
const (
	ExitOK       = 0  // done
	ExitFailed   = 1  // tried and did not work
	ExitCanceled = 2  // stopped by the user, or nothing to do
	ExitDenied   = 3  // a residency rule says no, or a log shows a violation
	ExitAuth     = 4  // who asks is unknown or may not
	ExitCapacity = 5  // no machine to be had, or a quota is used up
	ExitBudget   = 6  // the money is spent, reserved or its price unknown
	ExitEvidence = 7  // a log, receipt or proof does not verify
	ExitUsage    = 64 // the command line is wrong
)

// The codes. The first digit is the exit status; 9 stands for 64. BRS-4000 to
// BRS-4004 are also what the control endpoint answers (tunnel/control).
const (
	Failed          Code = "BRS-1000"
	BadConfig       Code = "BRS-1001"
	FileMissing     Code = "BRS-1002"
	FileFailed      Code = "BRS-1003"
	DiskFull        Code = "BRS-1004"
	StateLocked     Code = "BRS-1005"
	PortTaken       Code = "BRS-1006"
	KeyMissing      Code = "BRS-1007"
	CheckFailed     Code = "BRS-1008"
	BadRules        Code = "BRS-1101"
	BadPlaces       Code = "BRS-1102"
	BadCatalogue    Code = "BRS-1103"
	SliceMissing    Code = "BRS-1104"
	SliceChanged    Code = "BRS-1105"
	SliceRefused    Code = "BRS-1106"
	CasesFailed     Code = "BRS-1107"
	ControlAway     Code = "BRS-1201"
	NATSAway        Code = "BRS-1202"
	VaultAway       Code = "BRS-1203"
	VaultSealed     Code = "BRS-1204"
	EdgeAway        Code = "BRS-1205"
	BucketAway      Code = "BRS-1206"
	LaunchFailed    Code = "BRS-1301"
	NodeLost        Code = "BRS-1302"
	JobFailed       Code = "BRS-1304"
	NoBurstYet      Code = "BRS-1305"
	ProbeAccepted   Code = "BRS-1306"
	NotSwept        Code = "BRS-1307"
	NoNVML          Code = "BRS-1401"
	Canceled        Code = "BRS-2000"
	ResidencyDenied Code = "BRS-3001"
	ViolationFound  Code = "BRS-3002"
	NotProven       Code = "BRS-3003"
	PlanMoved       Code = "BRS-3010"
	Malformed       Code = "BRS-4000"
	NotKnown        Code = "BRS-4001"
	GrantRefused    Code = "BRS-4002"
	NotAllowed      Code = "BRS-4003"
	NoSuchClaim     Code = "BRS-4004"
	NoSuchSite      Code = "BRS-4005"
	VaultRefused    Code = "BRS-4006"
	RequestForged   Code = "BRS-4007"
	ReleaseRefused  Code = "BRS-4008"
	GlassRefused    Code = "BRS-4009"
	BucketDenied    Code = "BRS-4010"
	NoOffer         Code = "BRS-5001"
	NoCapacity      Code = "BRS-5002"
	QuotaReached    Code = "BRS-5003"
	OverBudget      Code = "BRS-6001"
	PriceUnknown    Code = "BRS-6002"
	BudgetAlert     Code = "BRS-6003"
	PlanPrice       Code = "BRS-6010"
	PlanOld         Code = "BRS-6011"
	LogUnverified   Code = "BRS-7001"
	ReceiptUnproven Code = "BRS-7002"
	WitnessRefused  Code = "BRS-7003"
	TrustMissing    Code = "BRS-7004"
	DocumentRefused Code = "BRS-7005"
	SealUnproven    Code = "BRS-7006"
	PlanForged      Code = "BRS-7010"
	Usage           Code = "BRS-9001"
)

// Entry is what a code means: one cause, one remedy.
type Entry struct {
	Code   Code   `json:"code"`
	Exit   int    `json:"exit"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// Lookup returns the entry of a code. An unregistered code is an error.
func Lookup(code Code) (Entry, error) {
	for _, e := range Entries() {
		if e.Code == code {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("look up %s: no such code", Clean(string(code)))
}

// exitOf derives the exit status from the first digit.
func exitOf(code Code) int {
	switch code[len("BRS-")] {
	case '9':
		return ExitUsage
	default:
		return int(code[len("BRS-")] - '0')
	}
}
