package burst

// Kind of every body, as it stands in the log.

func (Requested) Kind() string    { return "requested" }
func (Decided) Kind() string      { return "decided" }
func (LaunchIntent) Kind() string { return "launch-intent" }
func (Launched) Kind() string     { return "launched" }
func (LaunchFailed) Kind() string { return "launch-failed" }
func (PlacedAt) Kind() string     { return "proven" }
func (Unproven) Kind() string     { return "unproven" }
func (Cleared) Kind() string      { return "cleared" }
func (Denied) Kind() string       { return "denied" }
func (Excepted) Kind() string     { return "break-glass-used" }
func (IssueIntent) Kind() string  { return "issue-intent" }
func (Issued) Kind() string       { return "issued" }
func (RoundTrip) Kind() string    { return "round-trip" }
func (Window) Kind() string       { return "serve-intent" }
func (Served) Kind() string       { return "serve-outcome" }
func (Turned) Kind() string       { return "turned-away" }
func (Started) Kind() string      { return "job-started" }
func (Progress) Kind() string     { return "job-progress" }
func (Artefact) Kind() string     { return "artefact" }
func (Release) Kind() string      { return "released" }
func (Flag) Kind() string         { return "artefact-flagged" }
func (Unflag) Kind() string       { return "artefact-cleared" }
func (HandedOut) Kind() string    { return "handed-out" }
func (Withheld) Kind() string     { return "withheld" }
func (Stop) Kind() string         { return "stop" }
func (Unmounted) Kind() string    { return "unmounted" }
func (RevokeIntent) Kind() string { return "revoke-intent" }
func (Revoked) Kind() string      { return "revoked" }
func (Probed) Kind() string       { return "probed" }
func (DeleteIntent) Kind() string { return "delete-intent" }
func (Gone) Kind() string         { return "gone" }
func (Settled) Kind() string      { return "settled" }
func (Over) Kind() string         { return "ended" }

// Code is one kind of entry: its stable four-digit code and a fresh body to decode into.
type Code struct {
	Code string
	New  func() Body
}

// Kinds lists every kind of entry a burst has, by name. Codes are for ever:
// 01xx decision, 02xx serve, 03xx credential, 04xx node, 06xx break-glass, 08xx artefact.
var Kinds = map[string]Code{
	"requested":     {"0101", func() Body { return new(Requested) }},
	"decided":       {"0102", func() Body { return new(Decided) }},
	"cleared":       {"0103", func() Body { return new(Cleared) }},
	"denied":        {"0104", func() Body { return new(Denied) }},
	"settled":       {"0105", func() Body { return new(Settled) }},
	"ended":         {"0106", func() Body { return new(Over) }},
	"serve-intent":  {"0201", func() Body { return new(Window) }},
	"serve-outcome": {"0202", func() Body { return new(Served) }},
	"turned-away":   {"0203", func() Body { return new(Turned) }},
	"issue-intent":  {"0301", func() Body { return new(IssueIntent) }},
	"issued":        {"0302", func() Body { return new(Issued) }},
	"revoke-intent": {"0303", func() Body { return new(RevokeIntent) }},
	"revoked":       {"0304", func() Body { return new(Revoked) }},
	"probed":        {"0305", func() Body { return new(Probed) }},
	"launch-intent": {"0401", func() Body { return new(LaunchIntent) }},
	"launched":      {"0402", func() Body { return new(Launched) }},
	"launch-failed": {"0403", func() Body { return new(LaunchFailed) }},
	"proven":        {"0404", func() Body { return new(PlacedAt) }},
	"unproven":      {"0405", func() Body { return new(Unproven) }},
	"job-started":   {"0406", func() Body { return new(Started) }},
	"job-progress":  {"0407", func() Body { return new(Progress) }},
	"stop":          {"0408", func() Body { return new(Stop) }},
	"unmounted":     {"0409", func() Body { return new(Unmounted) }},
	"delete-intent": {"0410", func() Body { return new(DeleteIntent) }},
	"gone":          {"0411", func() Body { return new(Gone) }},
	"round-trip":    {"0412", func() Body { return new(RoundTrip) }},
	"artefact":      {"0801", func() Body { return new(Artefact) }},
	"released":      {"0802", func() Body { return new(Release) }},

	"break-glass-used": {"0603", func() Body { return new(Excepted) }},
	"artefact-flagged": {"0803", func() Body { return new(Flag) }},
	"artefact-cleared": {"0804", func() Body { return new(Unflag) }},
	"handed-out":       {"0805", func() Body { return new(HandedOut) }},
	"withheld":         {"0806", func() Body { return new(Withheld) }},
}
