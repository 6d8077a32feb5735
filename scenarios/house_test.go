package scenarios

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/burstctl/burstctl/"

// pure packages do no I/O, read no clock and roll no dice.
var pure = []string{"policy", "residency", "pools", "pools/burst", "tunnel"}

// mayNotReach names, for each package, dependencies at any depth and why they are refused.
func mayNotReach(name, dep string) (why string) {
	switch {
	case slices.Contains(pure, name) && slices.Contains([]string{"net", "os/exec", "log/slog"}, dep):
		return "a noun does no I/O"
	case name == "cmd/edge-connector" && (strings.HasPrefix(dep, module+"pools/cloud") ||
		strings.HasPrefix(dep, "github.com/aws/") || strings.HasPrefix(dep, "github.com/Azure/")):
		return "the edge holds no cloud keys"
	case name == "cmd/burstctl" && dep == module+"pools/onprem/nvml":
		return "the controller needs no driver"
	case name == "pools/perform" && (strings.HasPrefix(dep, module+"pools/cloud") || strings.HasPrefix(dep, module+"tunnel/") ||
		strings.HasPrefix(dep, module+"pools/bus") || strings.HasPrefix(dep, module+"pools/onprem")):
		return "what carries effects out knows no adapter"
	}
	return ""
}

func TestPackagesAreDocumentedAndReachOnlyWhatTheyMay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Doc", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Doc string
			Imports, Deps   []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		if p.Doc == "" && name != "scenarios" {
			t.Errorf("%s has no package comment", name)
		}
		for _, dep := range p.Deps {
			if why := mayNotReach(name, dep); why != "" {
				t.Errorf("%s reaches %s: %s", name, dep, why)
			}
		}
		for _, imp := range p.Imports {
			if slices.Contains(pure, name) && strings.HasPrefix(imp, "math/rand") {
				t.Errorf("%s rolls dice", name)
			}
		}
	}
}

// The budget: a file and a function that fit in one look.
// A test's table is data, and may be longer.
const maxFile, maxFunc = 400, 60

func TestSourceKeepsTheBudget(t *testing.T) {
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, ".cache") {
			return err
		}
		src, err := os.ReadFile("../" + name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, 0)
		if err != nil {
			return err
		}
		if n := fset.Position(f.FileEnd).Line; n > maxFile {
			t.Errorf("%s has %d lines, more than %d", name, n, maxFile)
		}
		for n := range ast.Preorder(f) {
			checkNode(t, fset, name, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkNode holds one declaration to the budget and one selector to the clock ban.
func checkNode(t *testing.T, fset *token.FileSet, name string, n ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if l := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1; l > maxFunc && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: %s has %d lines, more than %d", name, n.Name.Name, l, maxFunc)
		}
		if n.Name.Name == "init" && n.Recv == nil && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: init", name)
		}
	case *ast.SelectorExpr:
		x, _ := n.X.(*ast.Ident)
		clock := x != nil && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until"}, n.Sel.Name)
		if clock && slices.Contains(pure, path.Dir(name)) && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s reads the clock", fset.Position(n.Pos()))
		}
	}
}
