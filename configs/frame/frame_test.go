package frame

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestMain lets a test run this binary as a command, to see real signals and
// real exit statuses.
func TestMain(m *testing.M) {
	if os.Getenv("FRAME_TEST_VERB") != "" {
		os.Args = []string{"tool", os.Getenv("FRAME_TEST_VERB")}
		os.Exit(Main(tool))
	}
	os.Exit(m.Run())
}

// tool is a small command with one verb for each way to end.
func tool() *cobra.Command {
	return Root("tool", "Command tool ends in every way.", Group{}, Group{"Ways to end", []func() *cobra.Command{
		func() *cobra.Command {
			return &cobra.Command{Use: "deny", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
				return Wrap(ResidencyDenied, errors.New("place claims/q3 in us-east-1: forbidden"), "")
			}}
		},
		func() *cobra.Command {
			return &cobra.Command{Use: "wait", RunE: func(c *cobra.Command, _ []string) error {
				fmt.Fprintln(c.OutOrStdout(), "ready")
				<-c.Context().Done()
				return context.Cause(c.Context())
			}}
		},
		func() *cobra.Command {
			return &cobra.Command{Use: "hang", RunE: func(c *cobra.Command, _ []string) error {
				fmt.Fprintln(c.OutOrStdout(), "ready")
				<-c.Context().Done()
				fmt.Fprintln(c.OutOrStdout(), "cleaning")
				select {}
			}}
		},
		func() *cobra.Command {
			c := &cobra.Command{Use: "group"}
			c.AddCommand(&cobra.Command{Use: "list", RunE: func(c *cobra.Command, _ []string) error {
				return Print(c.OutOrStdout(), FormatOf(c), "RowList", []map[string]string{{"id": "\x1b[31mred"}},
					func(w io.Writer) error { return Rows(w, []string{"id", "at"}, [][]string{{"\x1b[31mred", "x"}}) })
			}})
			return c
		},
	}})
}

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Run(t.Context(), tool(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestEveryWayToCallEndsInItsStatus(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		{"", 0, "Ways to end", ""},
		{"--help", 0, "Ways to end", ""},
		{"version", 0, "tool ", ""},
		{"help exit-codes", 0, "64  the command line is wrong", ""},
		{"help environment", 0, "BURSTCTL_FORMAT", ""},
		{"help group", 0, "list", ""},
		{"help nonsense", 64, "", "no such verb or topic"},
		{"completion bash", 0, "__start_tool", ""},
		{"completion tcsh", 64, "", "BRS-9001"},
		{"errors brs-3001", 0, "exit 3", ""},
		{"errors BRS-0000", 64, "", "no such code"},
		{"deny", 3, "", "BRS-3001 place claims/q3 in us-east-1: forbidden"},
		{"deny extra", 64, "", "BRS-9001"},
		{"dney", 64, "", `did you mean "tool deny"?`},
		{"group", 0, "list", ""},
		{"group lits", 64, "", `did you mean "tool group list"?`},
		{"--nonsense", 64, "", "unknown flag"},
		{"version -o xml", 64, "", "want table, json or yaml"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			status, stdout, stderr := run(t, strings.Fields(tt.args)...)
			if status != tt.status || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", status, tt.status, stdout, stderr)
			}
			if tt.status != 0 && stdout != "" {
				t.Errorf("an error left %q on stdout", stdout)
			}
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("an escape byte went to a pipe: %q %q", stdout, stderr)
			}
		})
	}
}

func TestAnErrorIsJSONWhereJSONWasAskedFor(t *testing.T) {
	_, _, stderr := run(t, "deny", "-o", "json")
	var got failure
	if err := json.Unmarshal([]byte(stderr), &got); err != nil {
		t.Fatalf("%v in %s", err, stderr)
	}
	if got.Code != ResidencyDenied || got.Exit != 3 || got.Cause == "" || got.Remedy == "" || got.Message == "" {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(stderr, `"apiVersion": "burstctl/v1"`) || !strings.Contains(stderr, `"kind": "Error"`) {
		t.Errorf("no apiVersion or kind in %s", stderr)
	}
}

func TestAnswersComeAsTableJSONAndYAML(t *testing.T) {
	for format, want := range map[string]string{
		"table": "ID        AT\n\uFFFD[31mred  x\n",
		"json":  "\"kind\": \"RowList\",\n  \"items\": [",
		"yaml":  "kind: RowList\nitems:\n- id:",
	} {
		status, stdout, _ := run(t, "group", "list", "-o", format)
		if status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: status %d, %q", format, status, stdout)
		}
		if strings.Contains(stdout, "\x1b") {
			t.Errorf("%s: data smuggled an escape byte: %q", format, stdout)
		}
	}
}

func TestTheEnvironmentSetsTheFormatAndTheFlagWins(t *testing.T) {
	t.Setenv("BURSTCTL_FORMAT", "json")
	if _, out, _ := run(t, "version"); !strings.HasPrefix(out, "{") {
		t.Errorf("not JSON: %s", out)
	}
	if _, out, _ := run(t, "version", "-o", "table"); strings.HasPrefix(out, "{") {
		t.Errorf("the flag lost: %s", out)
	}
	t.Setenv("BURSTCTL_FORMAT", "xml")
	if status, _, errs := run(t, "version"); status != 64 || !strings.Contains(errs, "BURSTCTL_FORMAT") {
		t.Errorf("status %d: %s", status, errs)
	}
}

func TestColourIsAskedForByTheRightVariables(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"a pipe has none", nil, false},
		{"force colours a pipe", map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"force 0 does not", map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"NO_COLOR beats force", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
		{"an empty NO_COLOR is none", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": ""}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range []string{"NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"} {
				t.Setenv(v, tt.env[v])
			}
			if got := Color(&bytes.Buffer{}); got != tt.want {
				t.Errorf("Color = %v", got)
			}
		})
	}
}

func TestTheFlagTurnsColourOff(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("CLICOLOR_FORCE", "1")
	if _, _, errs := run(t, "deny"); !strings.Contains(errs, "\x1b[31m") {
		t.Errorf("no colour though forced: %q", errs)
	}
	if _, _, errs := run(t, "deny", "--no-color"); strings.Contains(errs, "\x1b") {
		t.Errorf("colour though refused: %q", errs)
	}
}

func TestCtrlCOnceCancelsAndTwiceEnds(t *testing.T) {
	for _, tt := range []struct {
		verb   string
		twice  bool
		status int
	}{{"wait", false, ExitCanceled}, {"hang", true, exitTwice}} {
		t.Run(tt.verb, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), "FRAME_TEST_VERB="+tt.verb)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 64)
			interrupt := func() {
				if _, err := out.Read(line); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
			}
			interrupt()
			if tt.twice {
				time.Sleep(2 * echo) // sooner it is the same one, heard twice
				interrupt()
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit %d, want %d", got, tt.status)
			}
		})
	}
}
