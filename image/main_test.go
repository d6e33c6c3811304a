// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// testsAtATime is how many parallel tests run at a time, on however few processors:
// most of them wait, for a disk, another process or a silence.
const testsAtATime = 8

func TestMain(m *testing.M) {
	flag.Parse()
	const parallel = "test.parallel"
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == parallel })
	if !chosen {
		if err := flag.Set(parallel, strconv.Itoa(max(testsAtATime, runtime.GOMAXPROCS(0)))); err != nil {
			panic(err) // this flag is the testing package's
		}
	}
	os.Exit(m.Run())
}
