package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// refusesPlan wants an apply to be refused with an exit status and a code, and nothing entered.
func (h house) refusesPlan(t *testing.T, exit int, code string, args ...string) {
	t.Helper()
	before := h.kinds()["job-submitted"]
	_, errs, got := h.call(t, append([]string{"apply"}, args...)...)
	if got != exit || h.kinds()["job-submitted"] != before {
		t.Errorf("apply %q: exit %d, want %d; %d jobs entered, before %d", args, got, exit,
			h.kinds()["job-submitted"], before)
	}
	clearly(t, errs, code)
}

func TestAPlanIsAppliedAsItIsOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	nats, controller := h.startNATS(t), h.startController(t)
	out, errs, code := h.call(t, "plan", "--site", "hq", "--write", "plan.json", "job.yaml")
	if code != 0 || h.kinds()["job-submitted"] != 0 || !strings.Contains(out, "10 offers: ") ||
		!strings.Contains(out, "CHOSEN") || !strings.Contains(out, "residency: ") {
		t.Fatalf("plan: exit %d: %s%s", code, out, errs)
	}
	out, errs, code = h.call(t, "apply", "plan.json")
	if code != 0 || !strings.Contains(out, "as planned") || h.kinds()["job-submitted"] != 1 {
		t.Fatalf("apply: exit %d: %s%s", code, out, errs)
	}

	plan, err := os.ReadFile(filepath.Join(h.dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(plan), `"gpus":`, `"gpus":1`, 1)
	if err := os.WriteFile(filepath.Join(h.dir, "forged.json"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	h.refusesPlan(t, 7, "BRS-7010", "forged.json")

	// What may not go anywhere can be planned, and says so; it cannot be applied.
	out, _, code = h.call(t, "plan", "--site", "hq", "--write", "never.json", "-o", "json", "job-unpermitted.yaml")
	var told struct {
		Kind     string
		Decision struct{ Refusal, Alternative string }
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || told.Kind != "Plan" ||
		!strings.Contains(told.Decision.Refusal, " residency") || told.Decision.Alternative == "" {
		t.Errorf("plan of what is not permitted: exit %d: %v: %+v", code, err, told.Decision)
	}
	h.refusesPlan(t, 3, "BRS-3001", "never.json")

	controller = h.again(t, controller, "offers.csv", "USD,2026", "USD,2025", "0.94,", "1.24,", "0.939,", "1.239,")
	h.refusesPlan(t, 6, "BRS-6010", "plan.json")
	if out, errs, code = h.call(t, "apply", "--max-move", "50", "plan.json"); code != 0 {
		t.Errorf("apply within 50 %%: exit %d: %s%s", code, out, errs)
	}
	for _, p := range []*process{controller, nats} {
		_ = p.end(syscall.SIGTERM)
	}
}

// again starts the controller over with a file changed.
func (h house) again(t *testing.T, controller *process, file string, pairs ...string) *process {
	t.Helper()
	if state := controller.end(syscall.SIGTERM); state != "exit status 0" {
		t.Fatalf("the controller ended with %s", state)
	}
	h.fill(t, pairs, file)
	return h.startController(t)
}

// why counts the reasons and gives each candidate the first one against it.
func TestWhyCountsTheReasonsAndNamesTheFirstAgainstEach(t *testing.T) {
	usd := policy.Money{Micros: 9e6, Currency: "USD"}
	offer := func(region string, gpus int) policy.Offer {
		at := residency.Address{Provider: "aws", Region: region}
		return policy.Offer{At: at, Type: "g5.xlarge", GPUs: gpus, PerHour: usd, AsOf: "2026-11-25"}
	}
	d := policy.Decide(policy.Request{Job: policy.Job{GPUs: 2, Lease: time.Hour, Budget: usd}}, policy.World{
		Offers: []policy.Offer{offer("eu-a", 2), offer("us-b", 2), offer("us-c", 8), offer("eu-d", 1)}, Left: usd,
		MaxLease: time.Hour, Closed: map[string]policy.Closed{"aws/eu-a g5*": {Kind: policy.KindQuota, Why: "quota reached"}},
		Screen: func(a residency.Address) residency.Verdict {
			if strings.HasPrefix(a.Region, "us-") {
				return residency.Verdict{Rules: []residency.Rule{{ID: "eu-only", Title: "Stays in the EEA"}}}
			}
			return residency.Verdict{Allowed: true}
		}})
	var b strings.Builder
	if err := tellRanked(&b, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 offers: 2 residency, 1 quota, 1 size", "quota: quota reached",
		"residency: Stays in the EEA (eu-only)", "size: has 1 GPUs, the job needs 2", "9.0000 USD"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
}

func TestAPlanOfOtherRulesIsRefused(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	nats, controller := h.startNATS(t), h.startController(t)
	if _, errs, code := h.call(t, "plan", "--site", "hq", "--write", "plan.json", "job.yaml"); code != 0 {
		t.Fatalf("plan: exit %d: %s", code, errs)
	}
	controller = h.again(t, controller, "rules/10-never.cedar", "GDPR Art. 44", "GDPR Art. 44 f.")
	h.refusesPlan(t, 3, "BRS-3010", "plan.json")
	for _, p := range []*process{controller, nats} {
		_ = p.end(syscall.SIGTERM)
	}
}
