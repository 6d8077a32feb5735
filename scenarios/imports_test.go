package scenarios

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/burstctl/burstctl/"

// mayImport says, for each package, which of ours it may import: a row a
// package, nouns first, then what speaks to the world, then what wires. A
// package without a row fails, and so does a row or a word that nobody needs.
var mayImport = map[string]string{
	"residency": "",
	"policy":    "residency",
	"pools":     "policy residency",
	"tunnel":    "policy residency",

	"pools/burst":        "policy pools residency",
	"pools/burst/glass":  "pools/burst residency residency/audit", // folds entries
	"pools/burst/cost":   "policy pools/burst residency/audit",
	"pools/burst/review": "policy pools/burst pools/burst/glass residency residency/audit",
	"pools/perform":      "policy pools pools/burst pools/burst/glass residency residency/audit tunnel",

	"residency/audit":             "",
	"residency/bucket":            "residency",
	"residency/columnar":          "residency",
	"residency/places":            "",
	"residency/review":            "residency",
	"residency/attest/attesttest": "residency",
	"residency/attest/aws":        "residency residency/attest/signed",
	"residency/attest/azure":      "residency residency/attest/signed",
	"residency/attest/forge":      "residency residency/attest/aws residency/attest/azure",
	"residency/attest/local":      "residency",
	"residency/attest/signed":     "",

	"pools/bus":           "policy",
	"pools/bus/busserver": "pools/bus",

	"pools/onprem": "policy",
	"pools/onprem/edge": "policy pools/burst pools/onprem residency residency/audit tunnel tunnel/control " +
		"tunnel/slice",
	"pools/onprem/nvml":        "pools/onprem",
	"pools/onprem/replay":      "pools/onprem",
	"pools/onprem/samplertest": "pools/onprem",

	"pools/cloud/aws":            "policy pools residency",
	"pools/cloud/aws/awstest":    "pools/cloud/cloudtest",
	"pools/cloud":                "policy pools",
	"pools/cloud/agent":          "pools pools/cloud/image pools/cloud/netns residency tunnel tunnel/control tunnel/slice",
	"pools/cloud/catalog":        "policy residency",
	"pools/cloud/catalog/prices": "policy residency",
	"pools/cloud/cloudtest":      "policy pools",
	"pools/cloud/image":          "",
	"pools/cloud/local":          "pools pools/cloud/netns residency residency/attest/local",
	"pools/cloud/netns":          "",
	"pools/cloud/sim":            "policy pools residency residency/attest/local",

	"pools/cloud/azure":           "pools residency",
	"pools/cloud/azure/azuretest": "",

	"tunnel/control":           "policy tunnel tunnel/slice",
	"tunnel/issuer":            "tunnel",
	"tunnel/issuer/issuertest": "tunnel tunnel/issuer",
	"tunnel/slice":             "residency tunnel",
	"tunnel/vault":             "tunnel tunnel/issuer",
	"tunnel/vault/vaulttest":   "tunnel/vault",

	"configs":                 "policy residency residency/columnar",
	"configs/cloud-init":      "pools",
	"configs/doctor":          "configs configs/frame configs/keys pools/bus residency residency/audit tunnel",
	"configs/frame":           "",
	"configs/frame/frametest": "",
	"configs/keys":            "residency residency/audit tunnel",
	"configs/roles":           "",
	"configs/roles/rolestest": "",
	"configs/rules":           "",
	"configs/site": "configs configs/keys policy pools/bus pools/onprem pools/onprem/edge pools/onprem/replay " +
		"residency residency/audit residency/bucket residency/columnar scenarios/traces tunnel/control",

	"scenarios": "",
	"scenarios/cast": "policy pools pools/burst pools/cloud pools/cloud/sim pools/perform residency " +
		"residency/attest/local residency/audit residency/places tunnel tunnel/issuer",
	"scenarios/claims": "",
	"scenarios/traces": "",
	"scenarios/train":  "",

	"cmd/edge-connector": "configs configs/doctor configs/frame configs/keys configs/site pools/bus pools/onprem " +
		"pools/onprem/edge pools/onprem/nvml residency residency/audit residency/bucket residency/columnar tunnel " +
		"tunnel/control tunnel/slice",
	"cmd/burstctl": "...", // whatever it wires; what it must not reach is below
}

// pure packages do no I/O, read no clock and roll no dice.
var pure = []string{"policy", "residency", "residency/review", "pools", "pools/burst", "tunnel"}

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
	case strings.HasSuffix(dep, "test") && strings.HasPrefix(dep, module) && strings.HasPrefix(name, "cmd/"):
		return "a test's helper is not shipped"
	}
	return ""
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath, Doc string
	Imports, Deps   []string
}

func TestPackagesAreDocumentedAndImportOnlyWhatTheyMay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Doc", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for name := range mayImport {
		unused[name] = true
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		delete(unused, strings.TrimPrefix(p.ImportPath, module))
		checkPackage(t, p)
	}
	for name := range unused {
		t.Errorf("mayImport has a row for %s, which does not exist", name)
	}
}

// checkPackage holds one package to its row.
func checkPackage(t *testing.T, p listed) {
	name := strings.TrimPrefix(p.ImportPath, module)
	row, ok := mayImport[name]
	if !ok {
		t.Errorf("%s has no row in mayImport", name)
	}
	if p.Doc == "" && name != "scenarios" {
		t.Errorf("%s has no package comment", name)
	}
	needed := map[string]bool{}
	for _, imp := range p.Imports {
		if slices.Contains(pure, name) && strings.HasPrefix(imp, "math/rand") {
			t.Errorf("%s rolls dice", name)
		}
		imp, ours := strings.CutPrefix(imp, module)
		if ours && row != "..." && !slices.Contains(strings.Fields(row), imp) {
			t.Errorf("%s may not import %s", name, imp)
		}
		needed[imp] = ours
	}
	for imp := range strings.FieldsSeq(row) {
		if row != "..." && !needed[imp] {
			t.Errorf("mayImport lets %s import %s, which it does not", name, imp)
		}
	}
	for _, dep := range p.Deps {
		if why := mayNotReach(name, dep); why != "" {
			t.Errorf("%s reaches %s: %s", name, dep, why)
		}
	}
}
