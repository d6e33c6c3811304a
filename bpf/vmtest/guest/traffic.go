// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bpfimg/bpfimg/bpf/vmtest/wire"
)

// streams keeps the stream of each script; a script has one at a time.
type streams map[*testscript.TestScript]*running

type running struct {
	*wire.Stream
	stopped bool
}

// traffic start FROM TO has numbered packets flow through a veth pair;
// traffic stop ends that and sets $SENT. A stream ends with its script.
func (s streams) traffic(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "traffic start FROM TO | traffic stop")
	if args[0] == "stop" {
		sent, err := s.end(ts)
		ts.Check(err)
		ts.Setenv("SENT", strconv.FormatUint(sent, 10))
		ts.Logf("%d packets were sent", sent)
		return
	}
	want(ts, neg, args, 3, "traffic start FROM TO")
	if r := s[ts]; r != nil {
		ts.Check(errors.Join(r.finish(), r.Close()))
	}
	stream, err := wire.StartStream(args[1], args[2])
	ts.Check(err)
	r := &running{Stream: stream}
	if s[ts] == nil {
		ts.Defer(func() {
			ts.Check(errors.Join(s[ts].finish(), s[ts].Close()))
			delete(s, ts)
		})
	}
	s[ts] = r
}

func (s streams) end(ts *testscript.TestScript) (uint64, error) {
	r := s[ts]
	if r == nil || r.stopped {
		return 0, errors.New("no traffic flows")
	}
	r.stopped = true
	return r.Stop()
}

// finish stops what was not stopped.
func (r *running) finish() error {
	if r.stopped {
		return nil
	}
	r.stopped = true
	_, err := r.Stop()
	return err
}

// leastDuring is how many packets must be sent while a program runs that changes
// a chain under traffic.
const leastDuring = 2

// during PROGRAM [ARG…] is exec, and makes sure that packets were sent meanwhile.
func (s streams) during(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || s[ts] == nil {
		ts.Fatalf("usage: during PROGRAM [ARG...], while traffic flows")
	}
	before := s[ts].Sent()
	err := ts.Exec(args[0], args[1:]...)
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%s: %v", args[0], err)
	}
	switch {
	case err != nil && !neg:
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	case err == nil && neg:
		ts.Fatalf("%s succeeded", strings.Join(args, " "))
	}
	if n := s[ts].Sent() - before; n < leastDuring {
		ts.Fatalf("only %d packets were sent while %s ran", n, args[0])
	}
}

// escaped NUMBER makes sure that so many packets reached the network stack since
// the last time; `! escaped` that any did.
func (s streams) escaped(ts *testscript.TestScript, neg bool, args []string) {
	r := s[ts]
	if r == nil || len(args) != 1 {
		ts.Fatalf("usage: [!] escaped NUMBER, after traffic start")
	}
	limit, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	count, numbers, err := r.Escaped()
	ts.Check(err)
	if (count == limit) == neg {
		ts.Fatalf("%d packets got past every program, the first of them number %d", count, numbers)
	}
}

// counted MEMBER[+MEMBER…] NUMBER waits until members of a chain have counted
// so many packets together: each in its map MEMBER_seen, or in several when it
// was loaded several times.
func counted(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "counted MEMBER[+MEMBER...] NUMBER")
	number, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	err = poll(func() error {
		var sum uint64
		for member := range strings.SplitSeq(args[0], "+") {
			n, err := seen(member + "_seen")
			if err != nil {
				return err
			}
			sum += n
		}
		if sum != number {
			return fmt.Errorf("%d, want %d", sum, number)
		}
		return nil
	})
	if err != nil {
		ts.Fatalf("counted by %s: %v", args[0], err)
	}
}

// seen is the sum of the first values of all maps of a name. There must be one.
func seen(name string) (sum uint64, err error) {
	found := false
	for id := ebpf.MapID(0); ; {
		id, err = ebpf.MapGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("listing maps: %w", err)
		}
		n, ok, err := value(id, name)
		if err != nil {
			return 0, err
		}
		found, sum = found || ok, sum+n
	}
	if !found {
		return 0, fmt.Errorf("no map is called %q", name)
	}
	return sum, nil
}

// value is the first value of a map, if that is its name.
func value(id ebpf.MapID, name string) (n uint64, ok bool, err error) {
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, fs.ErrNotExist) { // went away meanwhile
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("opening map %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	info, err := m.Info()
	if err != nil {
		return 0, false, fmt.Errorf("asking about map %d: %w", id, err)
	}
	if info.Name != name {
		return 0, false, nil
	}
	if err := m.Lookup(uint32(0), &n); err != nil {
		return 0, false, fmt.Errorf("reading map %q: %w", name, err)
	}
	return n, true, nil
}
