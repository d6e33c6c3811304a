// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
)

const (
	runs    = 15  // of every command; the median is shown
	objects = 200 // built into one image each
	iface   = "bpfimgbench"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// setup is the playground of all measurements.
type setup struct {
	dir, bpfimg, bare, object string
	registry                  string // host:port
	stop                      []func() error
}

func bench() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("loading programs needs root: sudo make bench")
	}
	s := &setup{}
	defer func() { err = joined.Errors(err, s.close()) }()
	if err := s.open(); err != nil {
		return err
	}
	size, err := os.Stat(s.bpfimg)
	if err != nil {
		return err
	}
	fmt.Printf("binary size           %6.1f MB\n", float64(size.Size())/1e6)
	for _, row := range []func() error{s.startup, s.build, s.run, s.verify, s.checks, s.chain} {
		if err := row(); err != nil {
			return err
		}
	}
	return nil
}

// open builds what is measured, starts a registry and makes an interface.
func (s *setup) open() error {
	var err error
	if s.dir, err = os.MkdirTemp("", "bpfimg-bench-"); err != nil {
		return err
	}
	s.defers(func() error { return os.RemoveAll(s.dir) })
	s.bpfimg, s.bare = filepath.Join(s.dir, "bpfimg"), filepath.Join(s.dir, "bareloader")
	for target, pkg := range map[string]string{s.bpfimg: "./cmd/bpfimg", s.bare: "./bench/bareloader"} {
		if err := command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-ldflags", "-s -w", "-o", target, pkg); err != nil {
			return err
		}
	}
	if s.object, err = filepath.Abs("examples/xdp-counter/counter.bpf.o"); err != nil {
		return err
	}
	if err := command("ip", "link", "add", iface, "type", "veth", "peer", "name", iface+"1"); err != nil {
		return err
	}
	s.defers(func() error { return command("ip", "link", "del", iface) })
	return s.serve()
}

func (s *setup) defers(f func() error) { s.stop = append(s.stop, f) }

func (s *setup) close() error {
	var errs []error
	for i := len(s.stop) - 1; i >= 0; i-- {
		errs = append(errs, s.stop[i]())
	}
	return joined.Errors(errs...)
}

// serve starts the registry as a process of its own and fills it.
func (s *setup) serve() error {
	cmd := exec.Command(s.bpfimg, "registry", "serve", "--address", "127.0.0.1:0", "--dir", filepath.Join(s.dir, "registry"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.defers(func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // ends by the signal
		return nil
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	s.registry = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	for _, args := range [][]string{
		{"generate-key-pair", "--output-key-prefix", filepath.Join(s.dir, "cosign")},
		{"--root", s.root("ci"), "build", "--push", "--sign", "--key", filepath.Join(s.dir, "cosign.key"), "-t", s.ref(), s.object},
	} {
		cmd := exec.Command(s.bpfimg, args...)
		cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=bench")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("bpfimg %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func (s *setup) root(name string) string { return filepath.Join(s.dir, name) }
func (s *setup) ref() string             { return s.registry + "/net/xdp-counter:v1" }

func command(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
