// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// checkBounds are the verifications of an image that is in memory, by the name of
// the benchmark in package verify, and the time each is designed for. All that
// one allocates together bounds the memory that it can take more: 16 MiB.
var checkBounds = []struct {
	name, benchmark string
	bound           float64 // ms
}{
	{"check, key", "BenchmarkCheck/bundle", 3},
	{"check, legacy key", "BenchmarkCheck/legacy", 3},
	{"check, keyless", "BenchmarkCheck/keyless_bundle", 8},
	{"check, attestation", "BenchmarkCheck/bundle_and_attestation", 8},
	{"loading a policy", "BenchmarkPolicy", 0},
}

// benchmarkLine is a line of `go test -bench -benchmem`.
var benchmarkLine = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+(\d+) B/op`)

// checks shows what deciding costs inside a process, without its start.
func (s *setup) checks() error {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem", "./verify").CombinedOutput()
	if err != nil {
		return fmt.Errorf("benchmarks of package verify: %w\n%s", err, out)
	}
	took, bytes := map[string]float64{}, map[string]float64{}
	for _, m := range benchmarkLine.FindAllSubmatch(out, -1) {
		ns, _ := strconv.ParseFloat(string(m[2]), 64) // of digits
		b, _ := strconv.ParseFloat(string(m[3]), 64)
		took[string(m[1])], bytes[string(m[1])] = ns/1e6, b
	}
	for _, row := range checkBounds {
		t, ok := took[row.benchmark]
		if !ok {
			return fmt.Errorf("package verify has no %s", row.benchmark)
		}
		fmt.Printf("%-21s %6.2f ms, %.1f MiB allocated", row.name, t, mib(int64(bytes[row.benchmark])))
		if row.bound > 0 {
			fmt.Printf(", bound %.0f ms", row.bound)
		}
		fmt.Println()
	}
	return nil
}
