// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Run does what a process with these arguments, the program's name first, would do,
// and returns its exit code. ctx ends when it is interrupted.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) int

// Serve is a server: it runs the command lines it reads from in, until that ends, and
// writes to out what they print. The error is nil when all of them have ended and in
// was well-formed.
func Serve(in io.Reader, out io.Writer, run Run) error {
	s := &server{run: run, out: json.NewEncoder(out), interrupts: map[int]context.CancelFunc{}}
	err := openPoller()
	if err != nil {
		return err
	}
	if s.open, err = openFiles(); err != nil {
		return err
	}
	for requests := json.NewDecoder(in); ; {
		var r request
		err := requests.Decode(&r)
		if err == nil {
			err = s.take(r)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.interruptAll()
			s.commands.Wait()
			return errors.Join(err, s.failed)
		}
	}
}

// openPoller has Go open the files with which it waits for others. It keeps them, so
// they must be there before the first command.
func openPoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("opening a pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}

type server struct {
	run      Run
	commands sync.WaitGroup

	// changing is held while a command begins or ends, and while the open files are
	// compared, which is when none runs.
	changing   sync.Mutex
	interrupts map[int]context.CancelFunc // by the id of what runs
	open       files                      // before any of what runs began

	// writing is held while an answer is written; failed is why one could not be.
	writing sync.Mutex
	out     *json.Encoder
	failed  error
}

// take does what a request says.
func (s *server) take(r request) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	interrupt := s.interrupts[r.ID]
	switch {
	case r.Interrupt:
		if interrupt != nil {
			interrupt()
		}
		return nil
	case interrupt != nil:
		return fmt.Errorf("command %d runs already", r.ID)
	case len(r.Args) == 0:
		return fmt.Errorf("request %d has no arguments", r.ID)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.interrupts[r.ID] = cancel
	s.commands.Go(func() { s.command(ctx, r) })
	return nil
}

func (s *server) interruptAll() {
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, interrupt := range s.interrupts {
		interrupt()
	}
}

// command runs one to its end.
func (s *server) command(ctx context.Context, r request) {
	code := s.run(ctx, r.Args,
		printer(func(p []byte) error { return s.answer(answer{ID: r.ID, Stdout: p}) }),
		printer(func(p []byte) error { return s.answer(answer{ID: r.ID, Stderr: p}) }))

	s.changing.Lock()
	defer s.changing.Unlock()
	s.interrupts[r.ID]() // frees what the context holds
	delete(s.interrupts, r.ID)
	last := answer{ID: r.ID, Exit: &code}
	if len(s.interrupts) == 0 {
		last.Left = s.lookForLeft()
	}
	_ = s.answer(last) // s.failed has the error
}

// lookForLeft lists what is open and was not before, when nothing runs.
func (s *server) lookForLeft() (left []string) {
	now, err := openFiles()
	if err == nil {
		shutConnections(now)
		left, s.open, err = s.open.left(openFiles)
	}
	if err != nil {
		left = append(left, err.Error()) // unknown is not nothing
	}
	return left
}

func (s *server) answer(a answer) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.out.Encode(a)
	if err != nil && s.failed == nil {
		s.failed = fmt.Errorf("writing what command %d printed: %w", a.ID, err)
	}
	return err
}

// printer is a stream of a command.
type printer func(p []byte) error

func (f printer) Write(p []byte) (int, error) {
	if err := f(p); err != nil {
		return 0, err
	}
	return len(p), nil
}
