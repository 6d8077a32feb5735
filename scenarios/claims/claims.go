// Package claims makes the table the demo trains on: health insurance claims
// that never existed.
//
// # Synthetic, and said so
//
// Every row is drawn from a seeded generator. No person, insurer or hospital is
// in it; the distributions are plausible and nothing more. Two slices come from
// the same rows: the full one names a (made-up) member, birth date and postcode,
// the pseudonymised one has a keyed code, an age band and a region instead.
package claims

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Rows is how many claims each file of a slice holds.
const Rows = 12_000

// Files is how many files a slice has.
const Files = 3

var (
	facts        = []string{"diagnosis", "stay_days", "prior_claims", "amount_eur", "high_cost"}
	fullHeader   = append([]string{"member", "born", "postcode"}, facts...)
	pseudoHeader = append([]string{"code", "age_band", "region"}, facts...)
)

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

// Write makes both slices below dir, as claims/2025-q3 and
// claims/2025-q3-pseudonymised. The same seed writes the same bytes.
func Write(dir string, seed uint64) error {
	key := sha256.Sum256(binarySeed(seed))
	for n := range Files {
		name := fmt.Sprintf("part-%03d.csv", n)
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		full, pseudo := [][]string{fullHeader}, [][]string{pseudoHeader}
		for range Rows {
			c := draw(r)
			full = append(full, c.full())
			pseudo = append(pseudo, c.pseudonymised(key[:]))
		}
		for slice, rows := range map[string][][]string{"2025-q3": full, "2025-q3-pseudonymised": pseudo} {
			if err := write(filepath.Join(dir, "claims", slice, name), rows); err != nil {
				return fmt.Errorf("write synthetic claims: %w", err)
			}
		}
	}
	return nil
}

func binarySeed(seed uint64) []byte { return []byte("pseudonym key " + strconv.FormatUint(seed, 10)) }

func (c claim) full() []string {
	return row(fmt.Sprintf("M%07d", c.member), fmt.Sprintf("%04d-06-15", 2025-c.age), strconv.Itoa(c.postcode), c)
}

// pseudonymised replaces what names a person: a keyed code for the member, a
// band of ten years for the birth date, the first digit of the postcode.
func (c claim) pseudonymised(key []byte) []string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "M%07d", c.member)
	code := hex.EncodeToString(mac.Sum(nil)[:8])
	return row(code, strconv.Itoa(c.age/10*10), strconv.Itoa(c.postcode/10_000), c)
}

func row(who, when, where string, c claim) []string {
	return []string{who, when, where, strconv.Itoa(c.diagnosis), strconv.Itoa(c.stay), strconv.Itoa(c.prior),
		strconv.Itoa(c.amount), strconv.Itoa(c.high)}
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
