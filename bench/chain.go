// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// chainLengths are the numbers of programs that are shown.
var chainLengths = []int{1, 2, 5, 10}

// chainKernel is booted where this one lets no function be replaced.
const chainKernel = "6.12"

// chainLine is a line of chaincost: programs, then nanoseconds of a bare program
// and behind both dispatchers, then microseconds of attaching the last program.
var chainLine = regexp.MustCompile(`(?m)chaincost (\d+) (\d+) (\d+) (\d+) (\d+)\r?$`)

// chain shows what several programs on an XDP hook cost.
func (s *setup) chain() error {
	theirs, err := filepath.Glob("/usr/lib/*/bpf/xdp-dispatcher.o")
	if err != nil || len(theirs) == 0 {
		fmt.Println("XDP chain             libxdp is not installed (package xdp-tools)")
		return err
	}
	binary := filepath.Join(s.dir, "chaincost")
	if err := command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./bench/chaincost"); err != nil {
		return err
	}
	var out []byte
	if err := dispatcher.Supported(); err == nil {
		out, err = exec.Command(binary, theirs[0], "/dev/stdout").CombinedOutput()
		if err != nil {
			return fmt.Errorf("chaincost: %w\n%s", err, out)
		}
	} else if out, err = s.chainMachine(binary, theirs[0]); err != nil {
		return err
	}
	for _, m := range chainLine.FindAllSubmatch(out, -1) {
		var v [5]float64
		for i := range v {
			v[i], _ = strconv.ParseFloat(string(m[i+1]), 64) // of digits
		}
		if slices.Contains(chainLengths, int(v[0])) {
			fmt.Printf("XDP chain of %-2.0f       %6.0f ns a packet, bare program + %.0f ns, libxdp's dispatcher ×%.2f; attaching the last took %.1f ms\n",
				v[0], v[2], v[2]-v[1], v[2]/v[3], v[4]/1000)
		}
	}
	return nil
}

// chainMachine runs chaincost in a virtual machine. Its times are those of an
// emulated processor: only the ratios mean something.
func (s *setup) chainMachine(binary, theirs string) ([]byte, error) {
	dir, err := vmtest.KernelDir()
	if err != nil {
		return nil, err
	}
	kernel, err := vmtest.OpenKernel(dir, chainKernel)
	if errors.Is(err, vmtest.ErrNoKernel) {
		fmt.Println("XDP chain             this kernel refuses it, and none to boot was fetched (bpf/vmtest/fetch-kernels.sh " + chainKernel + ")")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	guest := filepath.Join(s.dir, "guest")
	if err := command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", guest, "./bpf/vmtest/guest"); err != nil {
		return nil, err
	}
	var console bytes.Buffer
	result, err := vmtest.Boot(context.Background(), vmtest.Options{
		Kernel: kernel, Init: guest, Log: &console,
		Files: map[string]vmtest.File{
			"/bin/chaincost":      {Path: binary, Executable: true},
			"/xdp-dispatcher.o":   {Path: theirs},
			"/scripts/cost.txtar": {Data: []byte("exec chaincost /xdp-dispatcher.o /dev/ttyS0\n")},
		},
	})
	if err == nil && result.Status != 0 {
		err = fmt.Errorf("status %d", result.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("chaincost in a virtual machine: %w\n%s", err, &console)
	}
	fmt.Printf("XDP chain             in an emulated machine with Linux %s: the ratios count\n", chainKernel)
	return console.Bytes(), nil
}
