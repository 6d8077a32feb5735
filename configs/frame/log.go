package frame

import (
	"io"
	"log/slog"
)

// Logger writes JSON lines. An error among a line's attributes is written with
// its code and remedy beside it, so that a runbook can be found by either; code
// tells the code of an error that has none yet, and "" is none.
func Logger(w io.Writer, level slog.Level, code func(error) Code) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if err, ok := a.Value.Any().(error); ok {
				return coded(a.Key, err, code)
			}
			return a
		}}))
}

// coded is an error as attributes of the line it is in.
func coded(key string, err error, code func(error) Code) slog.Attr {
	p := problemOf(err)
	if p.Code == Failed && code != nil {
		p = &Problem{Code: code(err), Err: err}
	}
	text := slog.String(key, Clean(err.Error()))
	if p.Code == "" || p.Code == Failed || p.Code == Canceled {
		return text
	}
	e := p.entry()
	return slog.Group("", text, slog.String("code", string(e.Code)), slog.String("fix", e.Remedy))
}
