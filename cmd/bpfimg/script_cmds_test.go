// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// networks numbers the test networks of this process.
var networks atomic.Int32

// cmdVeth makes a veth pair, its far end in a namespace of its own:
// veth            sets IFACE, NETNS, ADDRESS (ours) and PEER (the far end's)
// veth delete     removes it before the script ends
func cmdVeth(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || (len(args) == 1 && args[0] != "delete") {
		ts.Fatalf("usage: veth [delete]")
	}
	if len(args) == 1 {
		ip(ts, "link", "del", ts.Getenv("IFACE"))
		return
	}
	n := int(networks.Add(1))
	id := fmt.Sprintf("%d-%d", os.Getpid(), n)
	iface, netns := "bt"+id, "bpfimg-test-"+id
	// 198.18.0.0/15 is for tests between networks (RFC 2544). The process's
	// number keeps it apart from what a killed run may have left.
	net := (os.Getpid()*61 + n) % (1 << 14)
	address := func(host int) string { return fmt.Sprintf("198.18.%d.%d", net/64, net%64*4+host) }
	ours, peer := address(1), address(2)
	ip(ts, "netns", "add", netns)
	ts.Defer(func() {
		_ = exec.Command("ip", "link", "del", iface).Run() // gone already if the script deleted it
		_ = exec.Command("ip", "netns", "del", netns).Run()
	})
	ip(ts, "link", "add", iface, "type", "veth", "peer", "name", "eth0", "netns", netns)
	// No packets but those of the script: with an address of its own, IPv6 sends some
	// for many seconds. Where there is none, this fails.
	_ = exec.Command("ip", "link", "set", iface, "addrgenmode", "none").Run()
	_ = exec.Command("ip", "-n", netns, "link", "set", "eth0", "addrgenmode", "none").Run()
	ip(ts, "addr", "add", ours+"/30", "dev", iface)
	ip(ts, "link", "set", iface, "up")
	ip(ts, "-n", netns, "addr", "add", peer+"/30", "dev", "eth0")
	ip(ts, "-n", netns, "link", "set", "eth0", "up")
	for k, v := range map[string]string{"IFACE": iface, "NETNS": netns, "ADDRESS": ours, "PEER": peer} {
		ts.Setenv(k, v)
	}
}

func ip(ts *testscript.TestScript, args ...string) {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		ts.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// cmdWaitFor repeats a command, in the script's environment, until its output has
// a text, under a deadline: waitfor COMMAND ARG… : TEXT
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[len(args)-2] != ":" {
		ts.Fatalf("usage: waitfor COMMAND [ARG...] : TEXT")
	}
	want := args[len(args)-1]
	var err error
	var out string
	shown := func() bool {
		err = ts.Exec(args[0], args[1:len(args)-2]...)
		out = ts.ReadFile("stdout")
		return err == nil && strings.Contains(out, want)
	}
	if !soon(shown) {
		ts.Fatalf("%q never showed %q: %v\n%s", args, want, err, out)
	}
}

// soon asks until something is so, for a minute, and says whether it was.
func soon(so func() bool) bool {
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}
