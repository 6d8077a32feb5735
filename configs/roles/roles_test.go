package roles_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/configs/roles"
	"github.com/burstctl/burstctl/tunnel/control"
)

func example(t *testing.T) *roles.Roles {
	t.Helper()
	b, err := os.ReadFile("../roles.cedar")
	if err != nil {
		t.Fatal(err)
	}
	r, err := roles.Parse(map[string][]byte{"roles.cedar": b})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheExampleSaysWhoMayDoWhat(t *testing.T) {
	r := example(t)
	may := map[string]string{ // group: what it may do, and nothing else
		"submitter": "job.submit burst.list breakglass.request",
		"operator":  "burst.list burst.revoke data.recall rules.reload keys.rotate breakglass.request breakglass.end",
		"approver": "burst.list burst.approve artefact.release artefact.clear breakglass.approve " +
			"breakglass.end breakglass.review",
		"auditor":  "burst.list audit.read breakglass.review",
		"stranger": "",
		"":         "",
	}
	for group, actions := range may {
		for _, a := range roles.Actions() {
			err := r.Allow("user:someone", []string{group}, a)
			if want := slices.Contains(strings.Fields(actions), a); (err == nil) != want {
				t.Errorf("%s %s: %v, want allowed %v", group, a, err, want)
			}
			if err != nil && !errors.Is(err, roles.ErrDenied) {
				t.Errorf("%s %s: %v is not ErrDenied", group, a, err)
			}
		}
	}
}

func TestWhateverIsDoubtfulIsDenied(t *testing.T) {
	r := example(t)
	open, err := roles.Parse(map[string][]byte{"a.cedar": []byte(`@id("all") permit (principal, action, resource);`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		roles  *roles.Roles
		actor  string
		groups []string
		action string
		want   string // "" is allowed
	}{
		{"a certificate's holder is named", r, "user:alice", nil, "job.submit", ""},
		{"another holder is not", r, "user:bob", nil, "job.submit", "no policy permits it"},
		{"a name with a role's name is no role", r, "user:operator", nil, "burst.revoke", "no policy permits it"},
		{"a forbid wins over two groups", r, "user:eve", []string{"submitter", "approver"}, "artefact.release", "four-eyes"},
		{"an auditor with another role still only looks", r, "user:eve", []string{"operator", "auditor"}, "burst.revoke",
			"auditors-only-look"},
		{"a group in another case", r, "user:eve", []string{"Operator"}, "burst.revoke", "no policy permits it"},
		{"nil roles", nil, "user:alice", nil, "job.submit", "no roles are loaded"},
		{"the zero roles", &roles.Roles{}, "user:alice", nil, "job.submit", "no roles are loaded"},
		{"an open file takes any user", open, "user:x", nil, "job.submit", ""},
		{"even there an unknown action is denied", open, "user:x", nil, "job.delete", "no action"},
		{"even there no action is denied", open, "user:x", nil, "", "no action"},
		{"even there a site is no user", open, "site:hq", nil, "job.submit", "only a user"},
		{"even there nobody is no user", open, "", nil, "job.submit", "only a user"},
		{"even there an empty name is no user", open, "user:", nil, "job.submit", "only a user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.roles.Allow(tt.actor, tt.groups, tt.action)
			denied := errors.Is(err, roles.ErrDenied) && strings.Contains(err.Error(), tt.want)
			if tt.want == "" && err != nil || tt.want != "" && !denied {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestABadFileIsRefusedWhereItIsBad(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "// nobody", "no policy"},
		{"a syntax error", "@id(\"a\")\npermit (principal, action resource);", "x.cedar:2:"},
		{"a misspelt action", "\n@id(\"a\") permit (principal, action == Action::\"job.submitt\", resource);",
			"x.cedar:2:1: policy a"},
		{"a type there is not", `@id("a") permit (principal in Group::"g", action, resource);`, "x.cedar:1:1"},
		{"a fact there is not", `@id("a") permit (principal, action, resource) when { context.mfa };`, "mfa"},
		{"no id", "permit (principal, action, resource);", "@id is missing"},
		{"an id twice", `@id("a") permit (principal, action, resource);
			@id("a") forbid (principal, action, resource);`, "another one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := roles.Parse(map[string][]byte{"x.cedar": []byte(tt.text)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
	if _, err := roles.Parse(nil); err == nil {
		t.Error("no files were read as roles")
	}
}

func TestEveryActionOfTheControlEndpointIsKnown(t *testing.T) {
	for _, a := range []string{control.ActionSubmit, control.ActionList, control.ActionRevoke, control.ActionReload,
		control.ActionRotate} {
		if !slices.Contains(roles.Actions(), a) {
			t.Errorf("nobody can be allowed %s", a)
		}
	}
}
