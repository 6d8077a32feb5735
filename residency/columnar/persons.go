package columnar

import "encoding/hex"

// person is the first eight bytes of the keyed hash of whose row it is. Two that
// meet would be counted as one, which denies. Zero is nobody, and counts as none.
type person [8]byte

// personOf takes what Key.subject made.
func personOf(whose string) (p person) {
	if len(whose) >= 2*len(p) {
		_, _ = hex.Decode(p[:], []byte(whose[:2*len(p)])) // it is hexadecimal: we made it
	}
	return p
}

// tally is what one group has.
type tally struct {
	rows    int64
	persons map[person]struct{}
}

// add counts a row of somebody, or of nobody.
func (t *tally) add(whose string) {
	t.rows++
	t.count(personOf(whose))
}

// count counts a person, once.
func (t *tally) count(p person) {
	if p == (person{}) {
		return
	}
	if t.persons == nil {
		t.persons = map[person]struct{}{}
	}
	t.persons[p] = struct{}{}
}

// size is how large the group is: how many persons have a row in it, or how many
// rows there are if the table does not say whose they are.
func (t *tally) size(persons bool) int64 {
	if persons {
		return int64(len(t.persons))
	}
	return t.rows
}

// unit names what size counts.
func unit(persons bool) string {
	if persons {
		return "persons"
	}
	return "rows"
}
