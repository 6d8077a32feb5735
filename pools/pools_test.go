package pools_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

func launch() pools.Launch {
	return pools.Launch{Claim: "c-1", Attempt: 2, Expires: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
		Offer: policy.Offer{At: residency.Address{Provider: "aws", Region: "eu-central-1"}, Type: "g5.xlarge", GPU: "A10G",
			GPUs: 1, PerHour: policy.Money{Micros: 1_258_000, Currency: "USD"}, AsOf: "2026-01-21", Source: "list"},
		UserData: pools.UserData{Control: "127.0.0.1:1", CA: "sha256:aa", Domain: "house", Claim: "c-1", Attempt: 2}}
}

func TestATokenTellsEveryLaunchFromEveryOther(t *testing.T) {
	base := launch().Token()
	seen := map[string]string{base: "the launch"}
	for name, change := range map[string]func(*pools.Launch){
		"claim":   func(l *pools.Launch) { l.Claim = "c-2" },
		"attempt": func(l *pools.Launch) { l.Attempt++ },
		"place":   func(l *pools.Launch) { l.Offer.At.Region = "eu-west-1" },
		"type":    func(l *pools.Launch) { l.Offer.Type = "g5.2xlarge" },
		"market":  func(l *pools.Launch) { l.Offer.Market = policy.Spot },
		"expiry":  func(l *pools.Launch) { l.Expires = l.Expires.Add(time.Millisecond) },
	} {
		l := launch()
		change(&l)
		if other, again := seen[l.Token()]; again {
			t.Errorf("another %s has the token of %s", name, other)
		}
		seen[l.Token()] = name
	}
}

// A log written before offers had a market holds this text; its launch must be
// asked for again with the token it was first asked for with.
func TestALaunchEnteredBeforeThereWereMarketsKeepsItsToken(t *testing.T) {
	const entered = `{"claim":"c-1","attempt":2,"offer":{"at":{"provider":"aws","region":"eu-central-1"},` +
		`"type":"g5.xlarge","gpu":"A10G","gpus":1,"per_hour":{"micros":1258000,"currency":"USD"},"as_of":"2026-01-21",` +
		`"source":"list"},"expires":"2026-11-25T12:00:00Z","user_data":{"control":"127.0.0.1:1","ca":"sha256:aa",` +
		`"domain":"house","claim":"c-1","attempt":2}}`
	var l pools.Launch
	if err := json.Unmarshal([]byte(entered), &l); err != nil {
		t.Fatal(err)
	}
	if l != launch() || l.Token() != launch().Token() || l.Token() != token {
		t.Errorf("token %s of %+v", l.Token(), l)
	}
}

// token is what [pools.Launch.Token] said before offers had a market.
const token = "uish3xco3g6gaflfycur6tu3fncixybijn2jmhc67sbfja4eeopq"
