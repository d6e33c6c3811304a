// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/vishvananda/netlink"
)

func (s *setup) startup() error {
	r, err := measure(runs, step{args: []string{s.bpfimg, "version"}})
	if err != nil {
		return err
	}
	fmt.Printf("version               %6.1f ms\n", ms(r.median))
	return nil
}

func (s *setup) build() error {
	args := []string{s.bpfimg, "--root", s.root("build"), "build", "-t", "localhost/many:v1"}
	one := append(args[:len(args):len(args)], s.object)
	r, err := measure(runs, step{args: one})
	if err != nil {
		return err
	}
	fmt.Printf("build, 1 object       %6.1f ms\n", ms(r.median))
	// One process an image, as a CI job builds them.
	loop := fmt.Sprintf("for i in $(seq %d); do %s --root %s build -t localhost/many:$i %s >/dev/null || exit 1; done", objects, s.bpfimg, s.root("build"), s.object)
	if r, err = measure(1, step{args: []string{"sh", "-c", loop}}); err != nil {
		return err
	}
	fmt.Printf("build, %d images     %6.1f ms, %.1f ms each\n", objects, ms(r.median), ms(r.median)/objects)
	return nil
}

// run compares run, cold and warm, with the bare loader.
func (s *setup) run() error {
	pins := "/sys/fs/bpf/bpfimg-bench"
	bare, err := measure(runs, step{
		args:  []string{s.bare, s.object, "xdp_count", iface, pins},
		after: func() error { return joined.Errors(os.RemoveAll(pins), awaitFree()) },
	})
	if err != nil {
		return err
	}
	env := []string{"BPFIMG_BPFFS=" + pins, "BPFIMG_ROOT=" + s.root("node")}
	run := step{
		args: []string{s.bpfimg, "run", "--key", filepath.Join(s.dir, "cosign.pub"), "--attach", "xdp_count=xdp:" + iface + ",mode=native", s.ref()},
		env:  env,
		after: func() error {
			cmd := exec.Command(s.bpfimg, "stop", "xdp-counter")
			cmd.Env = append(os.Environ(), env...)
			return cmd.Run()
		},
	}
	defer os.RemoveAll(pins)
	cold := run
	cold.before = func() error { return os.RemoveAll(s.root("node")) }
	c, err := measure(runs, cold)
	if err != nil {
		return err
	}
	w, err := measure(runs, run)
	if err != nil {
		return err
	}
	fmt.Printf("bare loader           %6.1f ms, %.1f MiB\n", ms(bare.median), mib(bare.peak))
	fmt.Printf("run, cold             %6.1f ms, bare + %.1f ms, ×%.2f, %.1f MiB\n", ms(c.median), ms(c.median-bare.median), ratio(c, bare), mib(c.peak))
	fmt.Printf("run, warm             %6.1f ms, bare + %.1f ms, ×%.2f, %.1f MiB\n", ms(w.median), ms(w.median-bare.median), ratio(w, bare), mib(w.peak))
	return nil
}

// awaitFree waits until the kernel has let go of the interface's XDP slot, which
// it does some time after a pinned link is removed.
func awaitFree() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		l, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		if xdp := l.Attrs().Xdp; xdp == nil || !xdp.Attached {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the bare loader's program stays attached")
		}
		time.Sleep(time.Millisecond)
	}
}

// verify compares verification, and the download, with cosign and crane where
// they are installed.
func (s *setup) verify() error {
	key := filepath.Join(s.dir, "cosign.pub")
	ours, err := measure(runs, step{args: []string{s.bpfimg, "--root", s.root("verify"), "verify", "--key", key, s.ref()}})
	if err != nil {
		return err
	}
	fmt.Printf("verify                %6.1f ms, %.1f MiB\n", ms(ours.median), mib(ours.peak))
	pulled, err := measure(runs, step{
		args:   []string{s.bpfimg, "--root", s.root("pull"), "pull", s.ref()},
		before: func() error { return os.RemoveAll(s.root("pull")) },
	})
	if err != nil {
		return err
	}
	fmt.Printf("pull, cold            %6.1f ms, %.1f MiB\n", ms(pulled.median), mib(pulled.peak))
	peers := []struct {
		name string
		ours sample
		args []string
	}{
		{"cosign3 verify", ours, []string{"cosign3", "verify", "--key", key, "--insecure-ignore-tlog", s.ref()}},
		{"crane pull", pulled, []string{"crane", "pull", s.ref(), filepath.Join(s.dir, "crane.tar")}},
	}
	for _, p := range peers {
		if _, err := exec.LookPath(p.args[0]); err != nil {
			fmt.Printf("%-21s not installed\n", p.name)
			continue
		}
		r, err := measure(runs, step{args: p.args})
		if err != nil {
			return err
		}
		fmt.Printf("%-21s %6.1f ms, %.1f MiB, ours takes ×%.2f of that\n", p.name, ms(r.median), mib(r.peak), ratio(p.ours, r))
	}
	return nil
}

func mib(n int64) float64       { return float64(n) / (1 << 20) }
func ratio(a, b sample) float64 { return float64(a.median) / float64(b.median) }
