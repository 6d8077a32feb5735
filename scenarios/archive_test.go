package scenarios

import (
	"bytes"
	"strings"
)

// archive is a story: a script, then files, each behind a line "-- name --".
type archive struct {
	script string
	files  []file
}

type file struct {
	name string
	data []byte
}

func parseArchive(text []byte) *archive {
	a := &archive{}
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "-- ")
		if name, ok2 := strings.CutSuffix(name, " --"); ok && ok2 {
			a.files = append(a.files, file{name: name})
			continue
		}
		if n := len(a.files); n > 0 {
			a.files[n-1].data = append(a.files[n-1].data, line...)
			continue
		}
		a.script += line
	}
	return a
}

// format is the inverse of parseArchive.
func (a *archive) format() []byte {
	var b bytes.Buffer
	b.WriteString(a.script)
	for _, f := range a.files {
		b.WriteString("-- " + f.name + " --\n")
		b.Write(f.data)
	}
	return b.Bytes()
}
