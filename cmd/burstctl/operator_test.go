package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// operator does what a person does at a shell with Vault's command line, by the
// same calls that it makes. It knows the commands of configs/vault-setup.md and
// fails at any other.
type operator struct {
	t   *testing.T
	c   *api.Client
	dir string // where files are written
}

// blocks are the indented blocks of a document.
func blocks(text string) []string {
	var all []string
	open := false
	for line := range strings.Lines(text) {
		code, ok := strings.CutPrefix(line, "    ")
		switch {
		case ok && open:
			all[len(all)-1] += code
		case ok:
			all = append(all, code)
		}
		open = ok
	}
	return all
}

// do does the commands of a block.
func (o operator) do(block string) {
	o.t.Helper()
	block = strings.ReplaceAll(block, "\\\n", " ")
	for block != "" {
		line, rest, _ := strings.Cut(block, "\n")
		input := ""
		if command, mark, ok := strings.Cut(line, " - <<'"); ok {
			end := "\n" + strings.TrimSuffix(mark, "'") + "\n"
			if input, rest, ok = strings.Cut(rest, end); !ok {
				o.t.Fatalf("%q has no end", line)
			}
			line = command
		}
		if err := o.command(line, input); err != nil {
			o.t.Fatalf("%s: %v", line, err)
		}
		block = rest
	}
}

// word is a run of anything but space, in which quotes may hold spaces.
var word = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)

// command does one command.
func (o operator) command(line, input string) error {
	line, file, _ := strings.Cut(line, " > ")
	flags, words, pairs := map[string]string{}, []string{}, map[string]any{}
	for _, w := range word.FindAllString(line, -1) {
		w = strings.NewReplacer(`"`, "", `'`, "").Replace(w)
		key, value, pair := strings.Cut(w, "=")
		switch {
		case strings.HasPrefix(w, "-"):
			flags[strings.TrimPrefix(key, "-")] = value
		case pair:
			pairs[key] = value
		default:
			words = append(words, w)
		}
	}
	ctx, sys, what := o.t.Context(), o.c.Sys(), strings.Join(words, " ")
	switch {
	case what == "umask 077": // files are made so in any case
		return nil
	case what == "vault secrets enable pki":
		o.t.Cleanup(func() { _ = sys.Unmount(flags["path"]) })
		return sys.MountWithContext(ctx, flags["path"], &api.MountInput{Type: "pki",
			Config: api.MountConfigInput{MaxLeaseTTL: flags["max-lease-ttl"]}})
	case what == "vault auth enable approle":
		o.t.Cleanup(func() { _ = sys.DisableAuth(flags["path"]) })
		return sys.EnableAuthWithOptionsWithContext(ctx, flags["path"], &api.EnableAuthOptions{Type: "approle"})
	case strings.HasPrefix(what, "vault policy write "):
		o.t.Cleanup(func() { _ = sys.DeletePolicy(words[3]) })
		return sys.PutPolicyWithContext(ctx, words[3], input)
	case strings.HasPrefix(what, "vault write "):
		out, err := o.c.Logical().WriteWithContext(ctx, words[2], pairs)
		return o.keep(out, err, flags["field"], file)
	case strings.HasPrefix(what, "vault read "):
		out, err := o.c.Logical().ReadWithContext(ctx, words[2])
		return o.keep(out, err, flags["field"], file)
	}
	return fmt.Errorf("no such command is known here: %q", words)
}

// keep writes one field of an answer to a file only we may read.
func (o operator) keep(out *api.Secret, err error, field, file string) error {
	if err != nil || file == "" {
		return err
	}
	if out == nil || out.Data[field] == nil {
		return fmt.Errorf("no %s in the answer", field)
	}
	return os.WriteFile(filepath.Join(o.dir, filepath.Base(file)), []byte(fmt.Sprintln(out.Data[field])), 0o600)
}
