package review

import (
	"fmt"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// Hold is one legal hold as the log tells it, from the entry that set it to the one that changed or lifted it.
type Hold struct {
	residency.HoldOf
	Set   Mark   `json:"set"`
	SetBy string `json:"set_by"` // the actor; "controller" is a start with another catalogue
	End   string `json:"end"`    // "stands", "changed" or "lifted"
	Until Mark   `json:"until,omitzero"`
	EndBy string `json:"end_by,omitempty"`
}

// stands is how a hold is that was neither changed nor lifted.
const stands = "stands"

// hold folds an entry about a legal hold.
func (r *Review) hold(m Mark, e audit.Entry) {
	var h residency.HoldOf
	err := audit.DecodeStrict(e.Body, &h)
	if err == nil {
		err = h.Check()
	}
	if code := residency.HoldCodes[e.Kind]; err == nil && e.Code != code {
		err = fmt.Errorf("its code is %s, not %s", e.Code, code)
	}
	if err != nil {
		r.unreadable = append(r.unreadable, Finding{m, "", fmt.Sprintf("entry %q cannot be read: %v", e.Kind, err)})
		return
	}
	standing := r.standing(h.Dataset)
	if e.Kind == residency.HoldSet {
		if standing != nil {
			standing.End, standing.Until, standing.EndBy = "changed", m, e.Actor
		}
		r.holds = append(r.holds, Hold{HoldOf: h, Set: m, SetBy: e.Actor, End: stands})
		return
	}
	find := func(format string, a ...any) { r.unheld = append(r.unheld, Finding{m, "", fmt.Sprintf(format, a...)}) }
	if standing == nil || standing.HoldOf != h {
		find("a hold on %s is lifted that no earlier entry set so", h.Dataset)
		return
	}
	standing.End, standing.Until, standing.EndBy = "lifted", m, e.Actor
	if e.Actor == house {
		find("the hold on %s, set in entry %d, was lifted by no named person: the controller started with another catalogue",
			h.Dataset, standing.Set.Index)
	}
}

// house is the actor of what the controller does by itself.
const house = "controller"

// standing is the hold on a dataset; nil is none.
func (r *Review) standing(dataset string) *Hold {
	for i := range r.holds {
		if h := &r.holds[i]; h.Dataset == dataset && h.End == stands {
			return h
		}
	}
	return nil
}

// Holds lists every legal hold in the order they were set. Findings are those that were lifted by no named person, and
// those that were lifted and never set.
func (r *Review) Holds() ([]Hold, []Finding) {
	return append([]Hold{}, r.holds...), append(r.doubts(), r.unheld...)
}
