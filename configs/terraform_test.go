package configs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// required are arguments without which the provider refuses a resource, for
// those types that are used. Source: the providers' documentation of each.
var required = map[string]string{
	"aws_iam_role":                      "assume_role_policy",
	"aws_iam_role_policy":               "role policy",
	"aws_cloudwatch_log_group":          "",
	"aws_lambda_function":               "function_name role",
	"aws_cloudwatch_event_rule":         "schedule_expression",
	"aws_cloudwatch_event_target":       "rule arn",
	"aws_lambda_permission":             "action function_name principal",
	"aws_cloudwatch_metric_alarm":       "alarm_name comparison_operator evaluation_periods",
	"aws_iam_policy_document":           "",
	"azurerm_resource_group":            "name",
	"azurerm_user_assigned_identity":    "name location resource_group_name",
	"azurerm_role_definition":           "name scope",
	"azurerm_role_assignment":           "scope principal_id",
	"azurerm_log_analytics_workspace":   "name location resource_group_name",
	"azurerm_container_app_environment": "name location resource_group_name",
	"azurerm_container_app_job": "name location resource_group_name container_app_environment_id " +
		"replica_timeout_in_seconds",
	"azurerm_monitor_scheduled_query_rules_alert_v2": "name location resource_group_name scopes severity " +
		"evaluation_frequency window_duration",
}

// module is one directory of Terraform, by what its blocks are called.
type module struct {
	declared map[string]bool // "var.name", "aws_iam_role.reaper", "data.…"
	blocks   []*hclsyntax.Block
}

func readModule(t *testing.T, dir fs.FS) module {
	t.Helper()
	m := module{declared: map[string]bool{}}
	files, err := fs.Glob(dir, "*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no Terraform here (%v)", err)
	}
	for _, name := range files {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		f, diags := hclsyntax.ParseConfig(b, name, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, block := range f.Body.(*hclsyntax.Body).Blocks {
			m.blocks = append(m.blocks, block)
			label := strings.Join(block.Labels, ".")
			switch block.Type {
			case "variable":
				label = "var." + label
			case "data":
				label = "data." + label
			case "resource":
			case "terraform", "output":
				continue
			default:
				t.Errorf("%s: block %q is not one we use", block.Range(), block.Type)
			}
			if m.declared[label] {
				t.Errorf("%s: %s is declared twice", block.Range(), label)
			}
			m.declared[label] = true
		}
	}
	return m
}

// refers is the name of what a reference leads to.
func refers(v hcl.Traversal) string {
	parts := []string{v.RootName()}
	for _, step := range v[1:] {
		if a, ok := step.(hcl.TraverseAttr); ok {
			parts = append(parts, a.Name)
		}
	}
	if parts[0] == "data" {
		return strings.Join(parts[:min(3, len(parts))], ".")
	}
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func TestTheReapersAreDescribedWithNothingMissing(t *testing.T) {
	for _, dir := range []string{"aws-reaper", "azure-reaper"} {
		m := readModule(t, os.DirFS("terraform/"+dir))
		used := map[string]bool{}
		for _, block := range m.blocks {
			hclsyntax.VisitAll(block.Body, func(n hclsyntax.Node) hcl.Diagnostics {
				if e, ok := n.(*hclsyntax.ScopeTraversalExpr); ok {
					name := refers(e.Traversal)
					used[name] = true
					plain := slices.Contains([]string{"string", "number", "bool"}, name) // types of variables
					if !m.declared[name] && !plain {
						t.Errorf("%s: %s is declared nowhere", e.Range(), name)
					}
				}
				return nil
			})
			switch block.Type {
			case "resource", "data":
				args, known := required[block.Labels[0]]
				if !known {
					t.Errorf("%s: nobody checked what %s needs", block.Range(), block.Labels[0])
				}
				for _, arg := range strings.Fields(args) {
					if block.Body.Attributes[arg] == nil {
						t.Errorf("%s: %s has no %s", block.Range(), block.Labels[0], arg)
					}
				}
			case "variable", "output":
				if block.Body.Attributes["description"] == nil {
					t.Errorf("%s: %s has no description", block.Range(), block.Labels[0])
				}
			}
		}
		for name := range m.declared {
			if strings.HasPrefix(name, "var.") && !used[name] {
				t.Errorf("%s: %s is used nowhere", dir, name)
			}
		}
	}
}

func TestWhatLambdaStartsIsAShellScript(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "sh", "-n", "terraform/aws-reaper/bootstrap").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
