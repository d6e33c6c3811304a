// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// logHandler prints log records as sentences for a person:
// "warning: nobody has proven … (reference=…, digest=…)".
type logHandler struct {
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

// logger writes warnings (and, with debug, everything) to standard error.
func (t *terminal) logger(debug bool) *slog.Logger {
	level := slog.LevelWarn
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(&logHandler{w: t.err, level: level})
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle implements [slog.Handler]. One record is one write.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var details []string
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve()
		text := value.String()
		if err, ok := value.Any().(error); ok {
			text = joined.Text(err)
		}
		details = append(details, a.Key+"="+text)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	line := levelWord(r.Level) + ": " + r.Message
	if len(details) > 0 {
		line += " (" + strings.Join(details, ", ") + ")"
	}
	_, err := fmt.Fprintln(h.w, safe(line))
	return err
}

func levelWord(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "notice"
	}
	return "debug"
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{w: h.w, level: h.level, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements [slog.Handler]; groups do not show in sentences.
func (h *logHandler) WithGroup(string) slog.Handler { return h }
