// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// defaultPatience is how long a command may take to end after it was interrupted by
// its context; then the server is killed.
const defaultPatience = 5 * time.Second

// maxOutput bounds what one command prints, in bytes.
const maxOutput = 16 << 20

// ErrGone: the server has ended, and no command can run.
var ErrGone = errors.New("the process that runs commands has ended")

// Client runs commands in one server.
type Client struct {
	process  *exec.Cmd
	in       io.WriteCloser
	ended    chan struct{} // closed when no more answers come
	patience time.Duration

	mu      sync.Mutex
	out     *json.Encoder
	last    int
	running map[int]*Command
	err     error // why no more answers come
}

// Start starts a server, whose standard input and output must be unset.
func Start(process *exec.Cmd) (*Client, error) {
	in, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("starting a process that runs commands: %w", err)
	}
	c := &Client{
		process: process, in: in, out: json.NewEncoder(in),
		ended: make(chan struct{}), patience: defaultPatience, running: map[int]*Command{},
	}
	go c.read(out)
	return c, nil
}

// Close interrupts what runs, and waits until the server has ended.
func (c *Client) Close() error {
	err := c.in.Close()
	<-c.ended
	return errors.Join(err, c.process.Wait())
}

// Gone says whether the server has ended; [Client.Close] must still be called.
func (c *Client) Gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// Command is a command line that was started.
type Command struct {
	// Stdout is what it prints, while it prints it. It ends with the command.
	Stdout io.Reader

	id     int
	client *Client
	stop   func() bool // forget the context
	stdout *stream
	// printed is how many bytes it has printed, at most maxOutput.
	printed int
	done    chan struct{}
	// The rest is set when done is closed.
	stderr []byte
	exit   answer
	err    error
}

// Command starts a command line, the program's name first. It is interrupted when
// ctx ends.
func (c *Client) Command(ctx context.Context, args ...string) (*Command, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.last++
	stdout := newStream()
	cmd := &Command{Stdout: stdout, id: c.last, client: c, stdout: stdout, done: make(chan struct{})}
	if err := c.out.Encode(request{ID: cmd.id, Args: args}); err != nil {
		return nil, fmt.Errorf("starting a command: %w", err)
	}
	c.running[cmd.id] = cmd
	cmd.stop = context.AfterFunc(ctx, cmd.giveUp)
	return cmd, nil
}

// Interrupt does to it what Ctrl-C does to a process.
func (c *Command) Interrupt() error {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	if err := c.client.out.Encode(request{ID: c.id, Interrupt: true}); err != nil {
		return fmt.Errorf("interrupting a command: %w", err)
	}
	return nil
}

// giveUp interrupts it, and kills the server if it does not end: nothing less ends
// a command that does not listen.
func (c *Command) giveUp() {
	err := c.Interrupt()
	select {
	case <-c.done:
		return
	case <-time.After(c.client.patience):
	}
	_ = errors.Join(err, c.client.process.Process.Kill()) // Wait says that it is gone
}

// Exit is how a command ended.
type Exit struct {
	// Code is its exit code.
	Code int
	// Stderr is what it printed to standard error.
	Stderr string
	// Left are the files that it has left open, or one that ran at the same time.
	Left []string
}

// Wait waits until it has ended.
func (c *Command) Wait() (Exit, error) {
	<-c.done
	c.stop()
	if c.err != nil {
		return Exit{Stderr: string(c.stderr)}, c.err
	}
	return Exit{Code: *c.exit.Exit, Stderr: string(c.stderr), Left: c.exit.Left}, nil
}

// read takes answers until there are no more.
func (c *Client) read(out io.Reader) {
	var err error
	for answers := json.NewDecoder(out); err == nil; {
		var a answer
		if err = answers.Decode(&a); err == nil {
			err = c.take(a)
		}
	}
	if !errors.Is(err, io.EOF) {
		// It may wait for somebody who reads what it has yet to say.
		err = errors.Join(err, c.process.Process.Kill())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("%w: %w", ErrGone, err)
	close(c.ended) // first: who is told of a command's end then finds the client gone
	for _, cmd := range c.running {
		cmd.err = c.err
		cmd.end()
	}
}

func (c *Client) take(a answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd := c.running[a.ID]
	if cmd == nil {
		return fmt.Errorf("an answer to command %d, which does not run", a.ID)
	}
	if cmd.printed += len(a.Stdout) + len(a.Stderr); cmd.printed > maxOutput {
		return fmt.Errorf("command %d prints more than %d bytes", a.ID, maxOutput)
	}
	cmd.stdout.write(a.Stdout)
	cmd.stderr = append(cmd.stderr, a.Stderr...)
	if a.Exit != nil {
		cmd.exit = a
		delete(c.running, a.ID)
		cmd.end()
	}
	return nil
}

// end is called once, when all answers are there.
func (c *Command) end() {
	c.stdout.close()
	close(c.done)
}
