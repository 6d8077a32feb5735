// Package claims makes the table the demo trains on: health insurance claims
// that never existed.
//
// # Synthetic, and said so
//
// Every row is drawn from a seeded generator. No person, insurer or hospital is
// in it; the distributions are plausible and nothing more. The table names a
// (made-up) member, birth date and postcode, and has an age band and a region
// beside them: what the site makes a slice of, without the names, is said in its
// catalogue.
package claims

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Rows is how many claims each file holds.
const Rows = 12_000

// Files is how many files there are.
const Files = 3

var header = []string{"member", "born", "postcode", "age_band", "region", "diagnosis", "stay_days", "prior_claims",
	"amount_eur", "high_cost"}

// claim is one made-up row.
type claim struct {
	member, age, postcode, diagnosis, stay, prior, amount, high int
}

// draw makes one claim. The label follows the features through a logistic
// law with noise, so that there is something to learn.
func draw(r *rand.Rand) claim {
	c := claim{
		member: r.IntN(400_000), age: 18 + r.IntN(75), postcode: 10_000 + r.IntN(89_000),
		diagnosis: r.IntN(12), stay: int(r.ExpFloat64() * 4), prior: int(r.ExpFloat64() * 2),
	}
	c.amount = 400 + c.stay*620 + c.diagnosis*90 + r.IntN(900)
	z := -4.2 + 0.028*float64(c.age) + 0.31*float64(c.stay) + 0.22*float64(c.prior) + 0.05*float64(c.diagnosis)
	if r.Float64() < 1/(1+math.Exp(-z)) {
		c.high = 1
	}
	return c
}

// Write makes the table below dir, as claims/2025-q3. The same seed writes the
// same bytes.
func Write(dir string, seed uint64) error {
	for n := range Files {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		rows := [][]string{header}
		for range Rows {
			rows = append(rows, draw(r).row())
		}
		if err := write(filepath.Join(dir, "claims", "2025-q3", fmt.Sprintf("part-%03d.csv", n)), rows); err != nil {
			return fmt.Errorf("write synthetic claims: %w", err)
		}
	}
	return nil
}

// row writes a claim out: a band of ten years beside the birth date, the first
// digit of the postcode as the region.
func (c claim) row() []string {
	out := []string{fmt.Sprintf("M%07d", c.member), fmt.Sprintf("%04d-06-15", 2025-c.age)}
	for _, n := range []int{c.postcode, c.age / 10 * 10, c.postcode / 10_000, c.diagnosis, c.stay, c.prior, c.amount,
		c.high} {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

func write(path string, rows [][]string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}
