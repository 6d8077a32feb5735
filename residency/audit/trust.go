package audit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Trust is what a verifier knows before it sees any evidence: the keys of the log and of the witnesses, and which
// of the witnesses must have cosigned. ParseTrust and NewTrust make it. The zero value verifies nothing.
//
// Its text is a C2SP tlog-policy: one statement a line, # begins a comment.
//
//	log <vkey>                                 a key the log may sign with; its name is the origin
//	witness <name> <vkey> [<url>]              a cosignature/v1 key
//	group <name> <k>|any|all <name>...         holds when k of the witnesses or groups do
//	quorum <name>|none                         what must hold; once
//
// A name is defined once, before it is used, and is a member of one group at most, so that no witness counts
// twice. The parser of the formats library is not used: it insists on URLs and passes over the log lines.
type Trust struct {
	logs      []pubKey
	witnesses map[string][]pubKey // the keys of each, after changes more than one
	groups    map[string]group
	member    map[string]bool // of a group
	quorum    string
	lines     []string
}

type group struct {
	k       int
	members []string
}

// TrustError says where a trust file is wrong. The caller knows the name of the file.
type TrustError struct {
	// Line and Col count from 1; Col counts bytes.
	Line, Col int
	// Why says what is wrong there.
	Why string
}

// Error is "line:col: why".
func (e *TrustError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Why) }

// NewTrust makes the trust in one log key of which k of the witnesses must have cosigned. Without witnesses k is 0.
func NewTrust(k int, logKey string, witnessKeys ...string) (Trust, error) {
	text := "log " + logKey + "\n"
	names := ""
	for _, vkey := range witnessKeys {
		name, _, _ := strings.Cut(vkey, "+")
		text += "witness " + name + " " + vkey + "\n"
		names += " " + name
	}
	switch {
	case k == 0 && len(witnessKeys) == 0:
		text += "quorum none\n"
	default:
		text += fmt.Sprintf("group k-of-witnesses %d%s\nquorum k-of-witnesses\n", k, names)
	}
	return ParseTrust([]byte(text))
}

// ParseTrust reads a trust file. Errors wrap a *TrustError.
func ParseTrust(text []byte) (Trust, error) {
	t := Trust{witnesses: map[string][]pubKey{}, groups: map[string]group{}, member: map[string]bool{}}
	if !utf8.Valid(text) {
		return Trust{}, &TrustError{1, 1, "not UTF-8"}
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if len(line) > 1<<16 || i > 1<<12 {
			return Trust{}, &TrustError{i + 1, 1, "too long"}
		}
		line, _, _ = strings.Cut(line, "#")
		words, cols := fields(line)
		if len(words) == 0 {
			continue
		}
		if at, err := t.statement(words); err != nil {
			col := len(strings.TrimRightFunc(line, unicode.IsSpace)) + 1
			if at < len(cols) {
				col = cols[at]
			}
			return Trust{}, &TrustError{i + 1, col, err.Error()}
		}
		t.lines = append(t.lines, strings.Join(words, " "))
	}
	if len(t.logs) == 0 {
		return Trust{}, &TrustError{len(lines), 1, "no log"}
	}
	if t.quorum == "" {
		return Trust{}, &TrustError{len(lines), 1, "no quorum"}
	}
	return t, nil
}

// fields cuts a line into words and says in which column each starts.
func fields(line string) (words []string, cols []int) {
	words = strings.Fields(line)
	at := 0
	for _, w := range words {
		at += strings.Index(line[at:], w)
		cols = append(cols, at+1)
		at += len(w)
	}
	return words, cols
}

// statement takes in one line. With an error comes the number of the word that is wrong.
func (t *Trust) statement(words []string) (at int, err error) {
	switch words[0] {
	case "log":
		return t.addLog(words)
	case "witness":
		return t.addWitness(words)
	case "group":
		return t.addGroup(words)
	case "quorum":
		return t.setQuorum(words)
	}
	return 0, fmt.Errorf("unknown keyword %q", words[0])
}

func (t *Trust) addLog(words []string) (int, error) {
	if len(words) != 2 {
		return min(2, len(words)), errors.New("log takes one verifier key")
	}
	k, err := newLogKey(words[1])
	if err != nil {
		return 1, fmt.Errorf("log key: %w", err)
	}
	if slices.ContainsFunc(t.logs, func(have pubKey) bool { return have.vkey == k.vkey }) {
		return 1, errors.New("log key given twice")
	}
	t.logs = append(t.logs, k)
	return 0, nil
}

func (t *Trust) addWitness(words []string) (int, error) {
	if len(words) < 3 || len(words) > 4 {
		return min(4, len(words)), errors.New("witness takes a name, a verifier key and perhaps a URL")
	}
	if err := t.fresh(words[1]); err != nil {
		return 1, err
	}
	v, err := newPubKey(RoleWitness, words[2])
	if err != nil {
		return 2, err
	}
	for name, keys := range t.witnesses {
		if k := keys[0]; k.Name() == v.Name() && k.KeyHash() == v.KeyHash() {
			return 2, fmt.Errorf("the key of witness %q again", name)
		}
	}
	t.witnesses[words[1]] = []pubKey{v}
	return 0, nil
}

func (t *Trust) addGroup(words []string) (int, error) {
	if len(words) < 4 {
		return len(words), errors.New("group takes a name, a threshold and members")
	}
	if err := t.fresh(words[1]); err != nil {
		return 1, err
	}
	members := words[3:]
	for i, m := range members {
		if !t.defined(m) {
			return 3 + i, fmt.Errorf("no witness or group %q above", m)
		}
		if t.member[m] {
			return 3 + i, fmt.Errorf("%q already is member of a group", m)
		}
		t.member[m] = true
	}
	k, err := strconv.Atoi(words[2])
	switch words[2] {
	case "any":
		k, err = 1, nil
	case "all":
		k, err = len(members), nil
	}
	if err != nil || k < 1 || k > len(members) {
		return 2, fmt.Errorf("threshold %q is not any, all or 1 to %d", words[2], len(members))
	}
	t.groups[words[1]] = group{k, members}
	return 0, nil
}

func (t *Trust) setQuorum(words []string) (int, error) {
	switch {
	case len(words) != 2:
		return min(2, len(words)), errors.New("quorum takes one name")
	case t.quorum != "":
		return 0, errors.New("quorum given twice")
	case words[1] != "none" && !t.defined(words[1]):
		return 1, fmt.Errorf("no witness or group %q above", words[1])
	}
	t.quorum = words[1]
	return 0, nil
}

func (t *Trust) defined(name string) bool {
	return len(t.witnesses[name]) > 0 || t.groups[name].k > 0
}

// fresh refuses a name that is taken or means something else.
func (t *Trust) fresh(name string) error {
	if slices.Contains([]string{"log", "witness", "group", "quorum", "any", "all", "none"}, name) || t.defined(name) {
		return fmt.Errorf("name %q is taken", name)
	}
	return nil
}

// Encode gives the trust as text again, without comments and spare white space. The zero value is empty.
func (t Trust) Encode() []byte {
	if len(t.lines) == 0 {
		return nil
	}
	return []byte(strings.Join(t.lines, "\n") + "\n")
}

// LogVerifiers are the keys a log of that origin may sign with.
func (t Trust) LogVerifiers(origin string) []note.Verifier {
	var keys []note.Verifier
	for _, k := range t.logs {
		if k.Name() == origin {
			keys = append(keys, k)
		}
	}
	return keys
}

func (t Trust) witnessKeys() []note.Verifier {
	var keys []note.Verifier
	for _, ks := range t.witnesses {
		keys = append(keys, verifiers(ks)...)
	}
	return keys
}

// Follow is the trust after changes of keys that the log entered, in its order: of t's keys those not revoked, and
// those they were rotated to. OpenReceipt under it opens receipts of before and after. The entries are trusted to be
// in the log: a Witness or Verify has seen that. Its text stays t's.
func (t Trust) Follow(es ...Entry) (Trust, error) {
	var changes []Change
	for _, e := range es {
		c, err := OpenChange(e)
		if err != nil {
			return Trust{}, err
		}
		changes = append(changes, c)
	}
	return t.after(changes, standing), nil
}

// after is the trust after changes; r says which of the log's keys count. A witness's superseded key counts until it
// is revoked.
func (t Trust) after(changes []Change, r reach) Trust {
	t.logs = follow(RoleLog, t.logs, changes, r)
	witnesses := map[string][]pubKey{}
	for name, keys := range t.witnesses {
		witnesses[name] = follow(RoleWitness, keys, changes, max(r, standing))
	}
	t.witnesses = witnesses
	return t
}

// satisfied tells whether the verified signatures meet the quorum.
func (t Trust) satisfied(verified []note.Signature) bool {
	return t.quorum == "none" || t.holds(t.quorum, verified)
}

func (t Trust) holds(name string, verified []note.Signature) bool {
	if keys, ok := t.witnesses[name]; ok {
		return count(verified, verifiers(keys)) > 0
	}
	g, n := t.groups[name], 0
	for _, m := range g.members {
		if t.holds(m, verified) {
			n++
		}
	}
	return g.k > 0 && n >= g.k
}
