// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command suite puts every hook to work with the real bpfimg and says of each
// what came of it: one line a row, with [vmtest.ResultPrefix]. It needs root, a
// network namespace of its own and, unless -mount is given, the file systems a
// Linux machine has. Package vmtest runs it on this machine and inside others.
//
// Its exit status is 0 when no row failed, 1 when one did, 2 when the suite could
// not be set up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "suite: child:", err)
			os.Exit(1)
		}
		return
	}
	failed, err := run(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// run does what the command line says.
func run(ctx context.Context) (failed bool, err error) {
	var opts options
	flag.StringVar(&opts.bpfimg, "bpfimg", "/bin/bpfimg", "the binary under test")
	flag.StringVar(&opts.served, "served", "", "a server of package served with the commands of the binary under test, for all rows but one of each family")
	flag.StringVar(&opts.key, "key", "/keys/cosign.pub", "the key that signed the images")
	flag.StringVar(&opts.registry, "registry", "/registry", "folder of a registry that has the test objects as testdata/OBJECT:v1")
	flag.BoolVar(&opts.mount, "mount", false, "mount bpffs, tracefs and cgroup2, for this process and its children only")
	flag.BoolVar(&opts.alone, "alone", false, "nothing else uses BPF here: nothing at all may be left")
	only := flag.String("run", "", "run only rows whose hook and variant match this regular expression")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return false, fmt.Errorf("-run: %w", err)
	}
	g, err := newEngine(ctx, opts)
	if err != nil {
		return false, err
	}
	for _, r := range rows() {
		if !pattern.MatchString(r.title()) {
			continue
		}
		result := g.time(ctx, r)
		line, lineErr := result.Line()
		fmt.Println(line)
		failed = failed || result.Outcome == vmtest.Failed
		err = errors.Join(err, lineErr)
	}
	return failed, errors.Join(err, g.close())
}

// time puts a row to work and says what came of it.
func (g *engine) time(ctx context.Context, r row) vmtest.RowResult {
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	start := time.Now()
	g.shipped = g.served == "" || r.shipped
	outcome, detail, err := g.work(ctx, r)
	result := vmtest.RowResult{Hook: r.hook, Variant: r.variant, Outcome: outcome, Detail: detail, Shipped: g.shipped}
	if err != nil {
		result.Outcome, result.Detail = vmtest.Failed, err.Error()
	}
	result.Milliseconds = time.Since(start).Milliseconds()
	return result
}
