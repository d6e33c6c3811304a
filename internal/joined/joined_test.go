// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package joined_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// logError has a message of several lines, as the log of the kernel's verifier is.
type logError struct{}

func (*logError) Error() string { return "rejected:\n0: (b7) r0 = 0\n1: (95) exit" }

const logText = "rejected:\n0: (b7) r0 = 0\n1: (95) exit"

// lines is an error like that of a library which lists what it wraps.
type lines struct{ errs []error }

func (l *lines) Error() string   { return "problems:\n- " + errors.Join(l.errs...).Error() }
func (l *lines) Unwrap() []error { return l.errs }

func TestErrors(t *testing.T) {
	a, b, c := errors.New("a"), fmt.Errorf("b: %w", fs.ErrNotExist), &logError{}
	for _, tt := range []struct {
		name string
		errs []error
		want string // "" for nil
	}{
		{"none", nil, ""},
		{"nil", []error{nil}, ""},
		{"all nil", []error{nil, nil, joined.Errors(nil)}, ""},
		{"one", []error{a}, "a"},
		{"one among nil", []error{nil, b, nil}, "b: file does not exist"},
		{"two", []error{a, nil, b}, "a; b: file does not exist"},
		{"twice the same", []error{a, a}, "a; a"},
		{"nested", []error{joined.Errors(a, b), joined.Errors(a), joined.Errors(nil), joined.Errors(b, a)}, "a; b: file does not exist; a; b: file does not exist; a"},
		{"nested and wrapped", []error{a, fmt.Errorf("closing: %w", joined.Errors(b, a))}, "a; closing: b: file does not exist; a"},
		{"a log of one", []error{c}, logText},
		{"a log among several", []error{a, c, b}, "a; " + logText + "; b: file does not exist"},
		{"a log within a join", []error{a, errors.Join(c, b)}, "a; " + logText + "; b: file does not exist"},
		{"a library's join", []error{a, errors.Join(a, b)}, "a; a; b: file does not exist"},
		{"a library's join of one", []error{a, errors.Join(b)}, "a; b: file does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := joined.Errors(tt.errs...)
			if (got == nil) != (tt.want == "") {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			if got != nil && got.Error() != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for _, err := range tt.errs {
				if err != nil && !errors.Is(got, err) {
					t.Errorf("%q is not found in %q", err, got)
				}
			}
			std := errors.Join(tt.errs...)
			for _, target := range []error{a, b, fs.ErrNotExist, io.EOF} {
				if errors.Is(got, target) != errors.Is(std, target) {
					t.Errorf("errors.Is(%q): %v, and otherwise of errors.Join", target, errors.Is(got, target))
				}
			}
			var log *logError
			if errors.As(got, &log) != errors.As(std, &log) {
				t.Error("errors.As finds what it does not find of errors.Join, or the other way round")
			}
		})
	}
}

// TestOneIsItself: callers compare with == what one failed step returned.
func TestOneIsItself(t *testing.T) {
	if got := joined.Errors(nil, io.EOF); any(got) != any(io.EOF) {
		t.Errorf("got %#v", got)
	}
}

// TestUnwrap: what was given, in its order, and not the caller's slice.
func TestUnwrap(t *testing.T) {
	given := []error{io.EOF, nil, fs.ErrExist}
	got := joined.Errors(given...)
	given[0] = fs.ErrClosed
	several, ok := got.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T has no Unwrap", got)
	}
	if all := several.Unwrap(); !slices.Equal(all, []error{io.EOF, fs.ErrExist}) {
		t.Errorf("got %v", all)
	}
	if !errors.Is(got, got) || errors.Is(got, joined.Errors(io.EOF, fs.ErrExist)) {
		t.Error("a join is not itself, or another one is")
	}
}

func TestEach(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	wrapped := fmt.Errorf("x: %w", joined.Errors(a, b))
	for _, tt := range []struct {
		name string
		err  error
		want []error
	}{
		{"nil", nil, nil},
		{"one", a, []error{a}},
		{"several", joined.Errors(a, b, c), []error{a, b, c}},
		{"added one by one", joined.Errors(joined.Errors(joined.Errors(nil, a), b), joined.Errors(c, a)), []error{a, b, c, a}},
		{"wrapped", joined.Errors(wrapped, c), []error{wrapped, c}},
		{"wrapped alone", wrapped, []error{wrapped}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := joined.Each(tt.err); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	a, b, log, empty := errors.New("a"), errors.New("b"), &logError{}, errors.New("")
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", a, "a"},
		{"a join", errors.Join(a, b), "a; b"},
		{"a join in a join", errors.Join(a, errors.Join(b, a)), "a; b; a"},
		{"wrapped", fmt.Errorf("threshold not met: %w", errors.Join(a, b)), "threshold not met: a; b"},
		{"wrapped twice", fmt.Errorf("x: %w, y", fmt.Errorf("%w!", errors.Join(a, b))), "x: a; b!, y"},
		{"two wrapped", fmt.Errorf("%w: %w", a, errors.Join(a, b)), "a: a; b"},
		{"among ours", fmt.Errorf("x: %w", joined.Errors(b, fmt.Errorf("y: %w", errors.Join(a, b)))), "x: b; y: a; b"},
		{"a log", fmt.Errorf("x: %w", log), "x: " + logText},
		{"a log in a join", fmt.Errorf("x: %w", errors.Join(a, log)), "x: a; " + logText},
		{"a list", &lines{[]error{a, errors.Join(b, a)}}, "problems:\n- a\nb; a"},
		{"no messages", errors.Join(empty, empty), "\n"},
		{"a log around no messages", fmt.Errorf("0: exit\n%w", errors.Join(empty, empty)), "0: exit\n\n"},
		{"hides what it wraps", &hiding{errors.Join(a, b)}, "said\notherwise"},
		{"wraps nothing", &hiding{nil}, "said\notherwise"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := joined.Text(tt.err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// hiding has a message that says nothing of what it wraps.
type hiding struct{ err error }

func (*hiding) Error() string   { return "said\notherwise" }
func (h *hiding) Unwrap() error { return h.err }

// FuzzErrors: any tree of joins, ours, the standard library's and wrapped, of
// messages without line ends is one line, whose words are all there.
func FuzzErrors(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{4, 0, 1, 5, 2, 3})
	f.Add([]byte{6, 5, 4, 0, 0, 5, 1, 1})
	f.Fuzz(func(t *testing.T, plan []byte) {
		var words []string
		err := grow(&plan, &words, 0)
		if err == nil {
			return
		}
		text := joined.Text(err)
		if strings.Contains(text, "\n") {
			t.Errorf("several lines: %q", text)
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%q is lost: %q", w, text)
			}
		}
		if got := joined.Errors(err, io.EOF).Error(); got != text+"; EOF" {
			t.Errorf("joined with another: %q, alone: %q", got, text)
		}
	})
}

// grow makes an error by plan, each byte of which says what comes next.
func grow(plan *[]byte, words *[]string, depth int) error {
	if len(*plan) == 0 || depth > 8 {
		return nil
	}
	step := (*plan)[0]
	*plan = (*plan)[1:]
	switch step % 8 {
	case 0:
		return nil
	case 1, 2, 3:
		word := fmt.Sprintf("<%d>", step)
		*words = append(*words, word)
		return errors.New(word)
	case 4:
		return joined.Errors(grow(plan, words, depth+1), grow(plan, words, depth+1))
	case 5:
		return errors.Join(grow(plan, words, depth+1), grow(plan, words, depth+1), grow(plan, words, depth+1))
	default:
		err := grow(plan, words, depth+1)
		if err == nil {
			return nil
		}
		return fmt.Errorf("around %w it", err)
	}
}
