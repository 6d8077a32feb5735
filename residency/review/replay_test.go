package review_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/review"
)

func law(r *residency.Rules, t *residency.Table, c *residency.Catalogue) review.Law {
	return review.Law{Rules: r, Places: t, Catalogue: c}
}

func TestARuleThatAllowsMoreIsSeenInTheDiffAndOneThatAllowsLessToo(t *testing.T) {
	tab, c := shipped(t), catalogue(t, 6)
	strict := parsed(t, text)
	loose := parsed(t, text+`@id("teach") @title("May be planned for teaching") @basis("policy 3")
		permit (principal, action == Action::"create", resource)
		when { context.class <= 2 && context.purpose == "teaching" };`)
	compare := func(a, b *residency.Rules) review.Diff {
		d, err := review.Compare(law(a, tab, c), law(b, tab, c))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := compare(strict, loose)
	if len(d.Allowed) == 0 || len(d.Denied) != 0 || d.Err() == nil {
		t.Errorf("looser: %d lines allowed, %d denied, error %v", len(d.Allowed), len(d.Denied), d.Err())
	}
	if len(d.Edited) != 1 || d.Edited[0] != (review.Edited{ID: "teach", What: "added"}) {
		t.Errorf("looser: edited %v", d.Edited)
	}
	for _, line := range d.Allowed {
		if line.Purpose != "teaching" || line.Class > residency.Internal || line.Rules[0] != "teach" {
			t.Errorf("newly allowed: %+v", line)
		}
	}
	if d := compare(loose, strict); len(d.Allowed) != 0 || len(d.Denied) == 0 || d.Err() != nil {
		t.Errorf("stricter: %d lines allowed, %d denied, error %v", len(d.Allowed), len(d.Denied), d.Err())
	}
	if d := compare(loose, loose); len(d.Allowed)+len(d.Denied)+len(d.Edited) != 0 {
		t.Errorf("the same rules differ: %+v", d)
	}
	d, err := review.Compare(law(strict, tab, catalogue(t, 3)), law(strict, tab, c))
	if err != nil || len(d.Denied) != 0 || len(d.Allowed) == 0 || d.Allowed[0].Slice != "ds-3/all" {
		t.Errorf("with more slices: %+v, error %v", d, err)
	}
	d, err = review.Compare(law(strict, tab, c), law(strict, tab, catalogue(t, 3)))
	if err != nil || len(d.Allowed) != 0 || len(d.Denied) == 0 || d.Denied[0].Slice != "ds-3/all" {
		t.Errorf("with fewer slices: %+v, error %v", d, err)
	}
	without, err := tab.Without("EEA", "")
	if err != nil {
		t.Fatal(err)
	}
	d, err = review.Compare(law(strict, tab, c), law(strict, without, c))
	if err != nil || len(d.Allowed) != 0 || len(d.Denied) == 0 {
		t.Errorf("without the EEA: %d lines allowed, %d denied, error %v", len(d.Allowed), len(d.Denied), err)
	}
}

func TestAReplayFindsFlipsAndTheGrantsThatStillLive(t *testing.T) {
	tab := shipped(t)
	s, err := catalogue(t, 6).Slice("ds-3/all")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	q := residency.Supposed{Ask: residency.Ask{Slice: s, Purpose: "research", Team: "fraud", Site: "hq"},
		At: residency.Address{Provider: "aws", Region: "eu-central-1"}, Level: residency.L2}
	cleared := review.Past{At: now, Claim: "c", Supposed: q, Allowed: true, Grant: "g", Expires: now.Add(time.Hour)}
	over, gone := cleared, cleared
	over.Ended, gone.Expires = true, now
	unknown := review.Past{Unknown: "no request"}
	past := []review.Past{cleared, over, gone, unknown}
	in := law(parsed(t, text), tab, nil)
	if r := review.Replay(in, past, now); r.Same != 3 || len(r.Flips) != 0 || len(r.Recall) != 0 || len(r.Unknown) != 1 {
		t.Errorf("under the same law: %+v", r)
	}
	if in.Places, err = tab.Without("EEA", "DE"); err != nil {
		t.Fatal(err)
	}
	r := review.Replay(in, past, now)
	if r.Same != 0 || len(r.Flips) != 3 || len(r.Recall) != 1 || r.Recall[0].Rules[0] != "eu-only" {
		t.Errorf("without Germany: %+v", r)
	}
}
