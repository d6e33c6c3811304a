// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// together is how many of the tests run at the same time that call t.Parallel. They
// do little and wait much, for the kernel to see every processor pass (RCU), so they
// may be more than there are processors.
//
// Such a test has a network namespace, a bpffs folder and a state folder of its own,
// and looks for what is left by ids that were its own. It leaves alone what belongs
// to the process or to the machine: the environment, working directory and cgroup of
// the process, its list of descriptors, the counting of runs, events of tracing that
// other tests cause as well. Nor does it make routes with programs: to do so, netlink
// (v1.3.1, BpfEncap.Encode) writes a variable that all its other functions read. Tests
// that send packets all the time run alone too, or everything takes longer.
const together = 8

func TestMain(m *testing.M) {
	// Before the command line is read, which may say otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(together)); err != nil {
		panic(err) // this flag is the testing package's
	}
	os.Exit(m.Run())
}
