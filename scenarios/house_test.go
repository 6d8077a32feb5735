package scenarios

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The budget: a file and a function that fit in one look, a line of so many
// characters, an interface as wide as a call. A test's table is data, and its
// function may be longer.
const maxFile, maxFunc, maxLine, maxInterface = 400, 60, 120, 3

// source is one Go file being held to the budget.
type source struct {
	*testing.T
	fset *token.FileSet
	name string
	test bool
}

func TestSourceKeepsTheBudget(t *testing.T) {
	for _, name := range tracked(t) {
		b, err := os.ReadFile("../" + name)
		if err != nil || !strings.HasSuffix(name, ".go") {
			continue // deleted, but not yet committed
		}
		s := source{t, token.NewFileSet(), name, strings.HasSuffix(name, "_test.go")}
		f, err := parser.ParseFile(s.fset, name, b, parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		s.lines(b)
		for n := range ast.Preorder(f) {
			s.node(n)
		}
		for _, d := range f.Decls {
			if !s.test && f.Name.Name != "main" {
				s.documented(d)
			}
		}
	}
}

// lines holds a file's length, its lines', and its linter's word.
func (s source) lines(b []byte) {
	all := strings.Split(string(b), "\n")
	if len(all)-1 > maxFile {
		s.Errorf("%s has %d lines, more than %d", s.name, len(all)-1, maxFile)
	}
	for i, l := range all {
		if n := len([]rune(l)); n > maxLine {
			s.Errorf("%s:%d has %d characters, more than %d", s.name, i+1, n, maxLine)
		}
		if strings.Contains(l, "//"+"nolint") {
			s.Errorf("%s:%d silences a linter", s.name, i+1)
		}
	}
}

// node holds a function or an interface to its size, and a noun to its clock ban.
func (s source) node(n ast.Node) {
	line := func(p token.Pos) int { return s.fset.Position(p).Line }
	switch n := n.(type) {
	case *ast.FuncDecl:
		if l := line(n.End()) - line(n.Pos()) + 1; l > maxFunc && !s.test {
			s.Errorf("%s: %s has %d lines, more than %d", s.name, n.Name.Name, l, maxFunc)
		}
		if n.Name.Name == "init" && n.Recv == nil && !s.test {
			s.Errorf("%s: init", s.name)
		}
	case *ast.InterfaceType:
		if n.Methods.NumFields() > maxInterface {
			s.Errorf("%s: an interface of more than %d methods", s.fset.Position(n.Pos()), maxInterface)
		}
	case *ast.SelectorExpr:
		x, _ := n.X.(*ast.Ident)
		clock := x != nil && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until"}, n.Sel.Name)
		if clock && slices.Contains(pure, path.Dir(s.name)) && !s.test {
			s.Errorf("%s reads the clock", s.fset.Position(n.Pos()))
		}
	}
}

// wellKnown methods say what they are by their name: the contract is elsewhere.
var wellKnown = []string{"String", "Error", "Unwrap", "Is", "Kind", "Close", "Read", "Write", "Len", "Less", "Swap",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "UnmarshalYAML"}

// documented wants a comment on every exported name; one for all in a group of
// constants or variables will do.
func (s source) documented(d ast.Decl) {
	lacks := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if doc.Text() != "" {
				return
			}
		}
		if name.IsExported() {
			s.Errorf("%s: %s has no comment", s.fset.Position(name.Pos()), name.Name)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || exportedReceiver(d.Recv) && !slices.Contains(wellKnown, d.Name.Name) {
			lacks(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				lacks(spec.Name, d.Doc, spec.Doc)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					lacks(name, d.Doc, spec.Doc, spec.Comment)
				}
			}
		}
	}
}

func exportedReceiver(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// nowhere are folder names that say nothing of what is in them.
var nowhere = []string{"internal", "pkg", "util", "utils", "common", "helpers", "misc", "mock", "mocks"}

// machine matches paths of somebody's machine and names of module hosts.
var machine = regexp.MustCompile(`(^|[^\w.])/(home/\w|root/(go|\.\w)|work/\w|Users/\w)|` +
	`\b(proxy|registry|mirror)\.[a-z]+\.(com|org|net|io|dev)\b`)

func TestTheTreeHoldsWhatItMay(t *testing.T) {
	top := []string{".ci", ".gitignore", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md", "cmd",
		"configs", "docs", "go.mod", "go.sum", "policy", "pools", "residency", "scenarios", "tunnel"}
	for _, name := range tracked(t) {
		parts := strings.Split(name, "/")
		if !slices.Contains(top, parts[0]) {
			t.Errorf("%s is not below a folder of the design", name)
		}
		for _, p := range parts[:len(parts)-1] {
			if slices.Contains(nowhere, p) {
				t.Errorf("%s lies in %s, which says nothing", name, p)
			}
		}
		b, err := os.ReadFile("../" + name)
		if err != nil || name == "go.sum" || bytes.IndexByte(b, 0) >= 0 {
			continue
		}
		if m := machine.Find(b); m != nil && name != "scenarios/house_test.go" {
			t.Errorf("%s names %q, which is somebody's machine", name, m)
		}
		if name == "go.mod" && bytes.Contains(b, []byte("\nreplace ")) {
			t.Errorf("%s replaces a module: go install would not", name)
		}
	}
}

// tracked lists the files of the repository, by slash-separated path.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var all []string // not a git work tree: an archive of one
	err = fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
