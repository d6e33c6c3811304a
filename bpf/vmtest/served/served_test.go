// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package served

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// serverVariable makes this test binary a server of commands.
const serverVariable = "BPFIMG_TEST_SERVED"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) == "" {
		os.Exit(m.Run())
	}
	if err := Serve(os.Stdin, os.Stdout, runCommand); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// left keeps what commands leave from the garbage collector, which would close it.
var left []io.Closer

// runCommand has one command for each thing that commands may do.
func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	switch args[1] {
	case "print":
		fmt.Fprint(stdout, args[2])
		fmt.Fprint(stderr, args[3])
	case "fail":
		return 5
	case "wait": // for an interrupt
		fmt.Fprintln(stdout, "waiting")
		<-ctx.Done()
		fmt.Fprintln(stdout, "interrupted")
		return 1
	case "deaf":
		fmt.Fprintln(stdout, "waiting")
		select {}
	case "leave":
		f, err := os.Open(args[2])
		if err != nil {
			return 1
		}
		left = append(left, f)
	case "connect":
		conn, err := net.Dial("tcp", args[2])
		if err != nil {
			return 1
		}
		left = append(left, conn)
	case "get":
		answer, err := new(http.Client).Get(args[2])
		if err != nil {
			return 1
		}
		if err := answer.Body.Close(); err != nil {
			return 1
		}
	case "flood":
		for range maxOutput/1024 + 1 {
			if _, err := stdout.Write(make([]byte, 1024)); err != nil {
				return 1
			}
		}
	case "exit":
		os.Exit(3)
	}
	return 0
}

// start starts a server, which ends with the test.
func start(t *testing.T) *Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.Stderr = os.Stderr
	client, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gone := client.Gone() // as the test has it
		if err := client.Close(); err != nil && !gone {
			t.Errorf("the server: %v", err)
		}
	})
	return client
}

func command(t *testing.T, c *Client, args ...string) *Command {
	t.Helper()
	cmd, err := c.Command(t.Context(), append([]string{"test"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// run runs a command to its end.
func run(t *testing.T, c *Client, args ...string) (stdout string, exit Exit) {
	t.Helper()
	cmd := command(t, c, args...)
	out, err := io.ReadAll(cmd.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	exit, err = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return string(out), exit
}

// begin starts a command and waits until it says that it waits.
func begin(t *testing.T, c *Client, args ...string) (*Command, *bufio.Reader) {
	t.Helper()
	cmd := command(t, c, args...)
	lines := bufio.NewReader(cmd.Stdout)
	if line, err := lines.ReadString('\n'); err != nil || line != "waiting\n" {
		t.Fatalf("%q: it said %q: %v", args, line, err)
	}
	return cmd, lines
}

func TestCommands(t *testing.T) {
	c := start(t)
	for _, tc := range []struct {
		args           []string
		stdout, stderr string
		code           int
	}{
		{[]string{"print", "to out", "to err"}, "to out", "to err", 0},
		{[]string{"print", "a\nb\x1b[", ""}, "a\nb\x1b[", "", 0},
		{[]string{"fail"}, "", "", 5},
		{[]string{"print", "after", ""}, "after", "", 0},
	} {
		stdout, exit := run(t, c, tc.args...)
		if stdout != tc.stdout || exit.Stderr != tc.stderr || exit.Code != tc.code || len(exit.Left) > 0 {
			t.Errorf("%q: got %q and %+v", tc.args, stdout, exit)
		}
	}
}

// TestInterrupt interrupts one command of two that wait, by hand and by the context;
// the other goes on.
func TestInterrupt(t *testing.T) {
	for _, by := range []string{"hand", "context"} {
		t.Run(by, func(t *testing.T) {
			c := start(t)
			other, _ := begin(t, c, "wait")
			ctx, cancel := context.WithCancel(t.Context())
			cmd, err := c.Command(ctx, "test", "wait")
			if err != nil {
				t.Fatal(err)
			}
			if by == "hand" {
				err = cmd.Interrupt()
			}
			if by == "context" {
				cancel()
			}
			out, readErr := io.ReadAll(cmd.Stdout)
			exit, waitErr := cmd.Wait()
			cancel()
			if err := errors.Join(err, readErr, waitErr); err != nil || exit.Code != 1 || string(out) != "waiting\ninterrupted\n" {
				t.Errorf("it said %q and ended with %+v: %v", out, exit, err)
			}
			select {
			case <-other.done:
				t.Error("the other one has ended")
			default:
			}
		})
	}
}

// TestClose interrupts what runs.
func TestClose(t *testing.T) {
	c := start(t)
	cmd, lines := begin(t, c, "wait")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	rest, _ := io.ReadAll(lines)
	if exit, err := cmd.Wait(); err != nil || exit.Code != 1 || string(rest) != "interrupted\n" {
		t.Errorf("it said %q and ended with %+v: %v", rest, exit, err)
	}
	if _, err := c.Command(t.Context(), "test", "fail"); !errors.Is(err, ErrGone) || !c.Gone() {
		t.Errorf("a command after the end: %v", err)
	}
}

// TestLeft: files that are left open are told of once, when no command runs. A
// connection that an HTTP client keeps for the next request is ended and none of them.
func TestLeft(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close) // after the parallel tests
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", []string{"fail"}, ""},
		{"file", []string{"leave", "/dev/zero"}, "/dev/zero"},
		{"connection", []string{"connect", server.Listener.Addr().String()}, "socket:"},
		{"connection that an HTTP client keeps", []string{"get", server.URL}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // each waits whether it is closed
			c := start(t)
			_, exit := run(t, c, tc.args...)
			if (tc.want != "") != (len(exit.Left) == 1) || !strings.Contains(strings.Join(exit.Left, " "), tc.want) {
				t.Errorf("left %q, want %q", exit.Left, tc.want)
			}
			if _, exit = run(t, c, "fail"); len(exit.Left) > 0 {
				t.Errorf("the next command is said to have left %q", exit.Left)
			}
			// Told of by the last of those that ran at a time.
			waits, _ := begin(t, c, "wait")
			if _, exit = run(t, c, "leave", "/dev/full"); len(exit.Left) > 0 {
				t.Errorf("left %q while another command runs", exit.Left)
			}
			err := waits.Interrupt()
			exit, waitErr := waits.Wait()
			if err := errors.Join(err, waitErr); err != nil || !slices.ContainsFunc(exit.Left, func(s string) bool { return strings.HasPrefix(s, "/dev/full ") }) {
				t.Errorf("left %q: %v", exit.Left, err)
			}
		})
	}
}

// TestClosedLater: what is closed a moment later was not left.
func TestClosedLater(t *testing.T) {
	before := files{0: "/dev/null", 3: "pipe:[1]"}
	for _, tc := range []struct {
		name  string
		looks []files // the last one again and again
		want  []string
	}{
		{"nothing", []files{before}, nil},
		{"one less", []files{{0: "/dev/null"}}, nil},
		{"closed later", []files{{0: "/dev/null", 3: "pipe:[1]", 4: "anon_inode:bpf-prog"}, before}, nil},
		{"another", []files{{0: "/dev/null", 3: "anon_inode:bpf-map"}}, []string{"anon_inode:bpf-map (descriptor 3)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			limit := closedWithin
			defer func() { closedWithin = limit }()
			if len(tc.looks) == 1 {
				closedWithin = 0
			}
			left, now, err := before.left(func() (files, error) {
				look := tc.looks[0]
				if len(tc.looks) > 1 {
					tc.looks = tc.looks[1:]
				}
				return look, nil
			})
			if err != nil || !slices.Equal(left, tc.want) || !maps.Equal(now, tc.looks[0]) {
				t.Errorf("left %q of %v: %v; want %q", left, now, err, tc.want)
			}
		})
	}
	broken := errors.New("broken")
	if _, now, err := before.left(func() (files, error) { return nil, broken }); !errors.Is(err, broken) || !maps.Equal(now, before) {
		t.Errorf("got %v and %v, want what was open before and %v", now, err, broken)
	}
}

// TestGone: a command that does not end, prints without end or ends the process takes
// the server along, and who waits for it is told.
func TestGone(t *testing.T) {
	for _, tc := range []struct {
		args   []string
		cancel bool
	}{
		{[]string{"deaf"}, true},
		{[]string{"flood"}, false},
		{[]string{"exit"}, false},
	} {
		t.Run(tc.args[0], func(t *testing.T) {
			c := start(t)
			c.patience = 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd, err := c.Command(ctx, append([]string{"test"}, tc.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if tc.cancel {
				cancel()
			}
			if _, err := cmd.Wait(); !errors.Is(err, ErrGone) {
				t.Errorf("got %v, want %v", err, ErrGone)
			}
		})
	}
}

// TestBadRequests: a server that cannot read what it shall do ends with an error.
func TestBadRequests(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{`{"id":1,"interrupt":true}`, ""}, // it has ended already
		{`{"id":1,"args":["test","fail"]}`, ""},
		{`{"id":1}`, "no arguments"},
		{`{"id":1,"args":["test","wait"]}{"id":1,"args":["test","wait"]}`, "command 1 runs already"},
		{`{"id":1,"args":`, "unexpected EOF"},
		{`[]`, "cannot unmarshal"},
	} {
		err := Serve(strings.NewReader(tc.in), io.Discard, runCommand)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.in, err, tc.want)
		}
	}
}
