// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package joined makes one error of several, with a message of one line: people
// read errors in a line of a terminal or of a log, where [errors.Join]'s line ends
// are escaped and show as \u000a.
//
// Doors: [Errors] joins, [Each] takes apart, [Text] is the message of what a library
// may have joined.
package joined

import "strings"

// Separator stands between the messages.
const Separator = "; "

// Errors is nil when all errs are, and the error itself when one of them is not.
// Of several, the message is theirs in order, with [Separator] between; [errors.Is]
// and [errors.As] look at each. A line end within a message, such as in the log of
// the kernel's verifier, stays; those that a library's [errors.Join] put in do not,
// see [Text].
func Errors(errs ...error) error {
	var l list
	for _, err := range errs {
		if err != nil {
			l.errs = append(l.errs, err)
		}
	}
	switch len(l.errs) {
	case 0:
		return nil
	case 1:
		return l.errs[0]
	}
	return &l
}

// list has two errors or more. It is used as a pointer, which [errors.Is] can compare.
type list struct{ errs []error }

// Error implements error.
func (l *list) Error() string { return line(l.errs) }

// Unwrap is for [errors.Is] and [errors.As].
func (l *list) Unwrap() []error { return l.errs }

// Each are the errors that [Errors] joined to err, also by several calls that each
// added some: err alone when it is no join, none when it is nil.
func Each(err error) []error {
	l, ok := any(err).(*list) // one that is wrapped belongs to the sentence around it
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, part := range l.errs {
		all = append(all, Each(part)...)
	}
	return all
}

func line(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = Text(err)
	}
	return strings.Join(texts, Separator)
}

// Text is the message of err, where [Separator] stands in the place of the line
// ends that [errors.Join] put in, at any depth. Errors of libraries need it; those
// of our own are made by [Errors]. Other line ends stay.
func Text(err error) string {
	text := err.Error()
	if !strings.Contains(text, "\n") {
		return text
	}
	switch e := any(err).(type) { // each layer is looked at by itself
	case interface{ Unwrap() []error }:
		return inLine(text, e.Unwrap())
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return replace(text, inner)
		}
	}
	return text
}

// inLine is text, the message of an error around errs. It is a join when it
// consists of nothing but their messages, a line each.
func inLine(text string, errs []error) string {
	var lines []string
	for _, err := range errs {
		if err == nil || err.Error() == "" {
			return text // a line end alone may stand for anything
		}
		lines = append(lines, err.Error())
	}
	if len(errs) > 1 && text == strings.Join(lines, "\n") {
		return line(errs)
	}
	for _, err := range errs {
		text = replace(text, err)
	}
	return text
}

// replace puts the [Text] of inner where its message stands in text.
func replace(text string, inner error) string {
	message := inner.Error()
	if !strings.Contains(message, "\n") {
		return text
	}
	return strings.ReplaceAll(text, message, Text(inner))
}
