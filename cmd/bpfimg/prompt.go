// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/term"
)

// maxSecret bounds a password or a user name, in bytes.
const maxSecret = 64 << 10

// password reads COSIGN_PASSWORD, or asks on a terminal, or reads standard
// input, as cosign does. Twice asks again to catch a typing mistake.
func (t *terminal) password(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if v, ok := t.lookup("COSIGN_PASSWORD"); ok {
		return []byte(v), nil
	}
	f, ok := t.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return waitFor(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(t.in, maxSecret)) })
	}
	first, err := t.ask(ctx, f, prompt)
	if err != nil || !twice {
		return first, err
	}
	second, err := t.ask(ctx, f, "The same again: ")
	if err != nil {
		return nil, err
	}
	if string(first) != string(second) {
		return nil, errors.New("the two passwords differ")
	}
	return first, nil
}

// ask reads a password that nobody sees. Ctrl-C ends it, with the terminal as it
// was before: a shell that echoes nothing looks dead.
func (t *terminal) ask(ctx context.Context, f *os.File, prompt string) ([]byte, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("asking on the terminal: %w", err)
	}
	fmt.Fprint(t.err, prompt)
	defer fmt.Fprintln(t.err)
	typed, err := waitFor(ctx, func() ([]byte, error) { return term.ReadPassword(int(f.Fd())) })
	if ctx.Err() != nil {
		return nil, joined.Errors(err, term.Restore(int(f.Fd()), before))
	}
	return typed, err
}

// askName reads a user name from in.
func (t *terminal) askName(ctx context.Context, in io.Reader) (string, error) {
	fmt.Fprint(t.err, "Username: ")
	line, err := waitFor(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	})
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(t.err)
		return "", fmt.Errorf("reading the user name: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// readSecret reads a password from standard input, without the line end that
// echo adds.
func (t *terminal) readSecret(ctx context.Context) (string, error) {
	data, err := waitFor(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(t.in, maxSecret+1)) })
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("it is over %d bytes", maxSecret)
	}
	secret := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(secret, "\r"), nil
}

// waitFor returns what read reads from a person or a pipe, or the error of ctx when
// that ends first. Reading a terminal cannot be called off: then read goes on until
// the process ends, which is what follows.
func waitFor[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
