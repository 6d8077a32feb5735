package frame

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryCodeHasOneCauseOneRemedyAndItsStatus(t *testing.T) {
	statuses := map[int]bool{}
	seen := map[Code]bool{}
	last := Code("")
	for _, e := range Entries() {
		if !regexp.MustCompile(`^BRS-[1-79]\d{3}$`).MatchString(string(e.Code)) {
			t.Errorf("%s is not BRS-nnnn", e.Code)
		}
		if seen[e.Code] || e.Cause == "" || e.Remedy == "" {
			t.Errorf("%s is repeated or says nothing: %+v", e.Code, e)
		}
		if e.Code < last {
			t.Errorf("%s is out of order", e.Code)
		}
		seen[e.Code], statuses[e.Exit], last = true, true, e.Code
	}
	for _, want := range []int{1, 2, 3, 4, 5, 6, 7, 64} {
		if !statuses[want] {
			t.Errorf("no code ends with %d", want)
		}
	}
}

func TestEveryCodeInTheSourceIsRegistered(t *testing.T) {
	code := regexp.MustCompile(`BRS-\d{4}`)
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, c := range code.FindAllString(string(src), -1) {
			if _, err := Lookup(Code(c)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Fatalf("walked %d files: %v", files, err)
	}
}

func TestTheExitStatusFollowsTheError(t *testing.T) {
	plain := errors.New("read x: gone")
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"no error", nil, 0},
		{"an error without a code", plain, 1},
		{"a cancelled context", fmt.Errorf("wait: %w", context.Canceled), 2},
		{"an interrupt", ErrInterrupted, 2},
		{"a deadline is a failure, not a cancel", context.DeadlineExceeded, 1},
		{"a wrapped code", fmt.Errorf("run: %w", Wrap(LogUnverified, plain, "")), 7},
		{"the first code stays", Wrap(Failed, Wrap(OverBudget, plain, ""), ""), 6},
		{"nil stays nil", Wrap(OverBudget, nil, ""), 0},
		{"a code nobody registered", &Problem{Code: "BRS-8888", Err: plain}, 1},
		{"the zero problem", &Problem{}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ExitCode(tt.err); got != tt.want {
				t.Errorf("ExitCode = %d, want %d", got, tt.want)
			}
		})
	}
}
