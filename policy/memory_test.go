package policy

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/residency"
)

func at(region, zone, typ string) Offer {
	o := offer(region, 5)
	o.At.Zone, o.Type = zone, typ
	return o
}

// shut reports whether an offer is closed now, and for what.
func shut(m *Memory, o Offer) string {
	c := m.Closed(time.Now())
	for _, scope := range o.Scopes() {
		if is, ok := c[scope]; ok {
			return is.Kind
		}
	}
	return ""
}

func TestAnOfferThatHadNoneRestsThenIsProbedOnceAndDoublesOnSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := NewMemory(), at("eu-a", "", "g5.xlarge")
		m.Begin("c-1/1", o)
		m.Missed("c-1/1", KindCapacity, "no capacity", time.Now())
		if shut(m, o) != KindCapacity || m.Admit("c-2/1", o, time.Now()) {
			t.Fatal("it is asked for again at once")
		}
		time.Sleep(shortRest)
		for round, want := range []int{1, 2, 4, 8, 16, 32, 64} {
			n := 0
			for n < 200 && m.Admit(name(round, n), o, time.Now()) {
				n++
			}
			if n != want {
				t.Fatalf("round %d: %d launches at a time, want %d", round, n, want)
			}
			m.Made(name(round, 0))
			for i := 1; i < n; i++ {
				m.End(name(round, i))
			}
		}
		if len(m.scopes) != 0 {
			t.Errorf("it is still counted: %v", m.scopes)
		}
		m.Begin("c-3/1", o)
		m.Missed("c-3/1", KindCapacity, "no capacity", time.Now())
		time.Sleep(shortRest)
		m.Begin("c-4/1", o)
		m.Missed("c-4/1", KindCapacity, "no capacity", time.Now())
		time.Sleep(shortRest)
		if shut(m, o) == "" {
			t.Error("the second rest is no longer than the first")
		}
	})
}

func name(round, i int) string { return strings.Repeat("r", round+1) + strings.Repeat("i", i) }

func TestAMissingChipIsProbedInOneSizeAndFreeElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.Begin("c-1/1", at("eu-a", "eu-a-1", "g5.xlarge"))
		m.Missed("c-1/1", KindCapacity, "none", time.Now())
		sister := at("eu-a", "eu-a-2", "g5.2xlarge")
		if !m.Admit("c-2/1", sister, time.Now()) {
			t.Error("another zone may not be tried")
		}
		if m.Admit("c-3/1", at("eu-a", "eu-a-3", "g5.4xlarge"), time.Now()) {
			t.Error("two sizes of the family are probed at a time")
		}
		if !m.Admit("c-3/1", at("eu-b", "", "g5.xlarge"), time.Now()) ||
			!m.Admit("c-4/1", at("eu-a", "", "p4d.24xlarge"), time.Now()) {
			t.Error("another region or family is closed too")
		}
		m.Missed("c-2/1", KindCapacity, "none", time.Now())
		time.Sleep(longRest)
		if !m.Admit("c-5/1", sister, time.Now()) {
			t.Error("it is closed for ever")
		}
	})
}

func TestAQuotaClosesItsFamilyForLongAndIsToldToAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.Begin("c-1/1", at("eu-a", "eu-a-1", "g5.xlarge"))
		m.Missed("c-1/1", KindQuota, "VcpuLimitExceeded", time.Now())
		time.Sleep(quotaRest - time.Second)
		if shut(m, at("eu-a", "eu-a-2", "g5.12xlarge")) != KindQuota || shut(m, at("eu-b", "", "g5.xlarge")) != "" {
			t.Error("the quota is not its family's in its region")
		}
		if q := m.Quotas(time.Now()); len(q) != 1 || !strings.HasPrefix(q[0], "aws/eu-a g5*: quota reached: Vcpu") {
			t.Errorf("told %q", q)
		}
		spot := at("eu-a", "", "g5.xlarge")
		spot.Market = Spot
		if shut(m, spot) != "" {
			t.Error("spot has its own quota")
		}
		time.Sleep(2 * time.Second)
		if shut(m, at("eu-a", "", "g5.xlarge")) != "" {
			t.Error("it is closed for ever")
		}
	})
}

func TestARegionThatHangsIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.Hung(at("eu-a", "", "g5.xlarge"), time.Now())
		if shut(m, at("eu-a", "eu-a-2", "p4d.24xlarge")) != KindCapacity || shut(m, at("eu-b", "", "g5.xlarge")) != "" {
			t.Error("the region is asked, or another is not")
		}
		time.Sleep(hangRest)
		if !m.Admit("c-1/1", at("eu-a", "", "g5.xlarge"), time.Now()) {
			t.Error("it is closed for ever")
		}
	})
}

// Whatever is closed, nothing is opened: failover stays where the rules allow.
func TestFailoverNeverWidens(t *testing.T) {
	m := NewMemory()
	for i, region := range []string{"eu-a", "eu-b"} {
		m.Begin(name(1, i), offer(region, 5))
		m.Missed(name(1, i), KindCapacity, "none", time.Unix(1e9, 0))
	}
	w := world(offer("eu-a", 5), offer("eu-b", 6), offer("us-c", 1))
	w.Closed = m.Closed(time.Unix(1e9+1, 0))
	d := Decide(request(), w)
	if d.Plan != nil || d.Refusal != "3 offers: 2 capacity, 1 residency" {
		t.Errorf("%+v: %s", d.Plan, d.Refusal)
	}
	w.Screen = func(residency.Address) residency.Verdict { return residency.Verdict{} }
	w.Closed = nil
	if d := Decide(request(), w); d.Plan != nil {
		t.Errorf("without capacity trouble %+v is planned where nothing is allowed", d.Plan)
	}
}
