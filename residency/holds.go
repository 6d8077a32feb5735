package residency

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Hold forbids to destroy anything of a dataset, for a court or an authority. It
// permits nothing: what may not leave still may not. Made by configs; the zero
// Hold is refused.
type Hold struct {
	Since  string `json:"since"`  // first day, "2006-01-02"
	Reason string `json:"reason"` // at most 500 bytes, no personal data
	By     string `json:"by"`     // who ordered it
}

// String tells it in words.
func (h Hold) String() string {
	return fmt.Sprintf("since %s, ordered by %s: %s", h.Since, h.By, h.Reason)
}

// check reports the first thing a hold lacks.
func (h *Hold) check() error {
	switch {
	case h == nil:
		return nil
	case !isDay(h.Since):
		return wrong([]string{"hold", "since"}, "hold since %q is no day", h.Since)
	case !isText(h.Reason) || len(h.Reason) > 500:
		return wrong([]string{"hold", "reason"}, "hold: want a reason of at most 500 bytes")
	case !isText(h.By) || len(h.By) > 200:
		return wrong([]string{"hold", "by"}, "hold: want who ordered it, in at most 200 bytes")
	}
	return nil
}

// HoldOf is what an entry says of the hold on one dataset: as kind [HoldSet]
// how it is from there on, as kind [HoldLifted] how it was until there.
type HoldOf struct {
	Dataset string `json:"dataset"`
	Hold
}

// Check reports the first thing an entry about a hold lacks.
func (h HoldOf) Check() error {
	if !isPart(h.Dataset) {
		return errors.New("hold: the dataset is not a plain lower-case name")
	}
	return h.Hold.check()
}

// The kinds of entries about holds.
const (
	HoldSet    = "hold-set"
	HoldLifted = "hold-lifted"
)

// HoldCodes are the stable codes of these kinds.
var HoldCodes = map[string]string{HoldSet: "0702", HoldLifted: "0703"}

// Holds are holds by dataset. Nil has none.
type Holds map[string]Hold

// Changes is what has to be said, by kind, so that those who know of these holds
// know of others: those that are new or are otherwise now, and those that are
// gone. Each is in the order of the datasets' names.
func (h Holds) Changes(to Holds) (set, lifted []HoldOf) {
	for _, id := range slices.Sorted(maps.Keys(to)) {
		if was, ok := h[id]; !ok || was != to[id] {
			set = append(set, HoldOf{id, to[id]})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h)) {
		if _, ok := to[id]; !ok {
			lifted = append(lifted, HoldOf{id, h[id]})
		}
	}
	return set, lifted
}

// Holds are the legal holds of the catalogue.
func (c *Catalogue) Holds() Holds {
	if c == nil {
		return nil
	}
	return maps.Clone(c.holds)
}
