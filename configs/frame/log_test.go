package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
)

func TestALogLineWithAnErrorBearsItsCodeAndRemedy(t *testing.T) {
	full := errors.New("no space\x1b[31m left")
	code := func(err error) Code {
		if errors.Is(err, full) {
			return DiskFull
		}
		return ""
	}
	for _, tc := range []struct {
		err        error
		text, code string
	}{
		{fmt.Errorf("write log: %w", full), "write log: no space\ufffd[31m left", "BRS-1004"},
		{Wrap(VaultSealed, errors.New("sign: vault is sealed"), ""), "sign: vault is sealed", "BRS-1204"},
		{errors.New("something else"), "something else", ""},
	} {
		var b bytes.Buffer
		Logger(&b, slog.LevelInfo, code).Warn("not done", "error", tc.err, "claim", "c-1")
		var line map[string]any
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		got, _ := line["code"].(string)
		fix, _ := line["fix"].(string)
		if line["error"] != tc.text || got != tc.code || (fix == "") != (tc.code == "") || line["claim"] != "c-1" {
			t.Errorf("%v: %s", tc.err, b.Bytes())
		}
	}
}
