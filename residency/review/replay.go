package review

import (
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Past is a decision that was made, as its log tells it.
type Past struct {
	Index    int64              `json:"index"` // of its entry
	At       time.Time          `json:"at"`
	Claim    string             `json:"claim"`
	Supposed residency.Supposed `json:"asked"`
	Allowed  bool               `json:"allowed"`
	Grant    string             `json:"grant,omitempty"`   // made by it
	Expires  time.Time          `json:"expires,omitzero"`  // of the grant
	Ended    bool               `json:"ended,omitempty"`   // the log says that the grant is over
	Unknown  string             `json:"unknown,omitempty"` // why it cannot be asked again

	Exception string `json:"exception,omitempty"` // its answer rests on the one of this id
}

// Again is a past decision with the answer it would get.
type Again struct {
	Past
	Now   bool     `json:"now"`
	Rules []string `json:"rules"` // @id of those that decide
	Why   string   `json:"why"`
}

// Replayed is every decision of a log, asked again.
type Replayed struct {
	Law     Digests `json:"law"`
	Asked   int     `json:"asked"`
	Same    int     `json:"same"`
	Flips   []Again `json:"flips"`   // answered otherwise
	Recall  []Again `json:"recall"`  // live grants the law does not permit
	Unknown []Past  `json:"unknown"` // what could not be asked again
}

// Replay asks every decision again, under this law as it was on the day of the
// decision; for a grant that is still live at now, as it is then too. What the
// law no longer permits of those is to be recalled.
func Replay(law Law, past []Past, now time.Time) Replayed {
	r := Replayed{Law: law.digests(), Flips: []Again{}, Recall: []Again{}, Unknown: []Past{}}
	for _, p := range past {
		if p.Unknown != "" {
			r.Unknown = append(r.Unknown, p)
			continue
		}
		r.Asked++
		again := law.again(p, p.At)
		if again.Now == p.Allowed {
			r.Same++
		} else {
			r.Flips = append(r.Flips, again)
		}
		if live := p.Grant != "" && !p.Ended && now.Before(p.Expires); live {
			if today := law.again(p, now); !today.Now {
				r.Recall = append(r.Recall, today)
			}
		}
	}
	return r
}

// again asks one decision on a day, with no other exception than the one it
// rests on.
func (l Law) again(p Past, day time.Time) Again {
	if p.Exception != "" && l.Except != nil {
		if x, ok := l.Except(p.Exception, day); ok {
			l.Rules = l.Rules.With(day, x)
		}
	}
	v := l.Rules.Suppose(l.Places.At(day), p.Supposed)
	a := Again{Past: p, Now: v.Allowed, Rules: []string{}, Why: v.Why}
	for _, rule := range v.Rules {
		a.Rules = append(a.Rules, rule.ID)
	}
	return a
}
