package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// APIVersion is the version of everything written by -o json and -o yaml.
const APIVersion = "burstctl/v1"

// envFormat names the variable that sets the format where -o does not.
const envFormat = "BURSTCTL_FORMAT"

// Format is how a command answers. It is a flag value; the zero Format is none.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// String returns the format's name.
func (f *Format) String() string { return string(*f) }

// Type names the values for the help text.
func (f *Format) Type() string { return "table|json|yaml" }

// Set takes a format by name and refuses every other.
func (f *Format) Set(s string) error {
	if !slices.Contains([]Format{Table, JSON, YAML}, Format(s)) {
		return fmt.Errorf("%q is no format; want table, json or yaml", s)
	}
	*f = Format(s)
	return nil
}

// FormatOf returns the format a verb was asked for: -o, else BURSTCTL_FORMAT,
// else a table.
func FormatOf(c *cobra.Command) Format {
	if flag := c.Root().PersistentFlags().Lookup("output"); flag != nil {
		if f, ok := flag.Value.(*Format); ok {
			return *f
		}
	}
	return Table
}

// formatFromEnv reports a format in the environment that is none.
func formatFromEnv() error {
	v := os.Getenv(envFormat)
	if f := Table; v != "" && f.Set(v) != nil {
		return &Problem{Code: Usage, What: "read " + envFormat, Err: fmt.Errorf("%q is no format", v),
			Fix: "set it to table, json or yaml, or unset it"}
	}
	return nil
}

// Print answers with v. In JSON and YAML the fields of v follow apiVersion and
// kind; a list goes under "items". In a table, human writes the answer; nil
// writes nothing.
func Print(w io.Writer, format Format, kind string, v any, human func(io.Writer) error) error {
	if format == Table {
		if human == nil {
			return nil
		}
		return human(w)
	}
	raw, err := envelope(kind, v)
	if err != nil {
		return fmt.Errorf("print %s: %w", kind, err)
	}
	if format == YAML {
		if raw, err = yaml.JSONToYAML(raw); err != nil {
			return fmt.Errorf("print %s: %w", kind, err)
		}
		raw = []byte(cleanLines(string(raw)))
	}
	if _, err = w.Write(append(bytes.TrimRight(raw, "\n"), '\n')); err != nil {
		return fmt.Errorf("print %s: %w", kind, err)
	}
	return nil
}

// PrintLine writes v as one line of JSON with its kind, for answers that are a
// stream of events.
func PrintLine(w io.Writer, kind string, v any) error {
	raw, err := envelope(kind, v)
	if err != nil {
		return fmt.Errorf("print %s: %w", kind, err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return fmt.Errorf("print %s: %w", kind, err)
	}
	line.WriteByte('\n')
	_, err = w.Write(line.Bytes())
	return err
}

// envelope is v as JSON, opened with apiVersion and kind.
func envelope(kind string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(map[string]string{"apiVersion": APIVersion, "kind": kind})
	if err != nil {
		return nil, err
	}
	head = head[:len(head)-1]
	switch {
	case string(body) == "{}":
	case body[0] == '{':
		head = append(append(head, ','), body[1:len(body)-1]...)
	case body[0] == '[':
		head = append(append(head, `,"items":`...), body...)
	case string(body) == "null":
		head = append(head, `,"items":[]`...)
	default:
		return nil, errors.New("neither an object nor a list")
	}
	var out bytes.Buffer
	err = json.Indent(&out, append(head, '}'), "", "  ")
	return escape(out.Bytes()), err
}

// escape writes the control characters that JSON leaves as they are, such as
// DEL and CSI, as \u escapes. They occur inside strings only.
func escape(raw []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(raw) {
		if r != '\n' && control(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// Rows writes a plain table: a header, rows, two spaces between columns, no
// frame. Cells are cleaned of control bytes.
func Rows(w io.Writer, header []string, rows [][]string) error {
	t := table.NewWriter()
	t.SetStyle(table.Style{Name: "plain", Box: table.BoxStyle{PaddingRight: "  "},
		Format: table.FormatOptions{Header: text.FormatUpper}})
	t.SuppressTrailingSpaces()
	t.AppendHeader(cells(header))
	for _, r := range rows {
		t.AppendRow(cells(r))
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// cells cleans one row.
func cells(row []string) table.Row {
	out := make(table.Row, len(row))
	for i, c := range row {
		out[i] = Clean(c)
	}
	return out
}

// Clean replaces control characters, so that text from a file, a peer or a job
// cannot move the cursor or colour the screen.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case control(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// cleanLines cleans every line of a text.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// control reports C0, DEL, C1 and the characters that turn the writing direction.
func control(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
