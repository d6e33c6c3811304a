// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// testsAtATime is how many parallel tests run at a time, on however few processors:
// most of them wait, for a disk, another process or a silence.
const testsAtATime = 8

func TestMain(m *testing.M) {
	// Before the command line is read, which may say otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(testsAtATime)); err != nil {
		panic(err) // this flag is the testing package's
	}
	os.Exit(m.Run())
}
