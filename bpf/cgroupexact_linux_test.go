// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/vmtest/cgroups"
)

const (
	objCgroupUnix     = "testdata/cgroup_unix.bpf.o"
	objCgroupConnects = "testdata/cgroup_connects.bpf.o"
)

// TestCgroupExact has a process in the cgroup do a thing so many times, and
// wants every program to have counted as many, or none.
func TestCgroupExact(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	loopbackUp(t)
	var list []string
	for _, e := range cgroups.Events() {
		if e.Name == "sockops" {
			list = append(list, "on_sockops=none") // sees many events of one connection
			continue
		}
		list = append(list, "on_"+e.Name+"="+e.Hook+":"+dir)
	}
	rec := b.start(verified(t, "cgroup", objCgroup), RunOptions{Attach: attachments(t, list...)})
	a := newActor(t, dir)
	a.do("nothing") // its start has been counted too
	inet := func(n string) map[string]int64 {
		return map[string]int64{
			"ingress": 1, "egress": 1, "sock_create": 2, "sock_release": 2,
			"post_bind" + n: 1, "bind" + n: 1, "connect" + n: 1, "sendmsg" + n: 1, "recvmsg" + n: 1,
			"getpeername" + n: 1, "getsockname" + n: 1,
			// Package unix asks for the protocol with every address it is given.
			"getsockopt": 3,
		}
	}
	for _, tc := range []struct {
		action string
		each   map[string]int64
	}{
		{"nothing", nil},
		{"udp4", inet("4")},
		{"udp6", inet("6")},
		{"getsockopt", map[string]int64{"getsockopt": 1}},
		{"setsockopt", map[string]int64{"setsockopt": 1}},
		{"sysctl", map[string]int64{"sysctl": 1}},
		{"device", map[string]int64{"dev": 1}},
	} {
		const times = 3
		before := b.values(rec.Name, "events")
		for range times {
			a.do(tc.action)
		}
		after := b.values(rec.Name, "events")
		for i, e := range cgroups.Events() {
			if got, want := after[i]-before[i], times*tc.each[e.Name]; got != want {
				t.Errorf("%s %d times: %s was seen %d times, want %d", tc.action, times, e.Name, got, want)
			}
		}
	}
	b.stop(rec)
}

func TestCgroupConnects(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	loopbackUp(t)
	rec := b.start(verified(t, "x", objCgroupConnects), RunOptions{Attach: attachments(t, "on_connect=sockops:"+dir)})
	a := newActor(t, dir)
	for range 4 {
		a.do("tcp")
	}
	b.wantCounts(rec.Name, "connects", 4)
	b.stop(rec)
	a.do("tcp")
}

func TestCgroupUnix(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	var list []string
	for _, event := range []string{"connect", "sendmsg", "recvmsg", "getpeername", "getsockname"} {
		list = append(list, "on_"+event+"_unix=cgroup_sock_addr:"+dir)
	}
	opts := RunOptions{Attach: attachments(t, list...)}
	if !kernelAtLeast(6, 7) {
		_, err := b.Run(t.Context(), verified(t, "x", objCgroupUnix), opts)
		wantUnsupported(t, err, "6.7")
		return
	}
	rec := b.start(verified(t, "x", objCgroupUnix), opts)
	a := newActor(t, dir)
	for range 3 {
		a.do("unix")
	}
	b.wantCounts(rec.Name, "events", 3, 3, 3, 3, 3)
	b.stop(rec)
}

// wantUnsupported wants the error that says since when Linux has it.
func wantUnsupported(t *testing.T, err error, since string) {
	t.Helper()
	var lacks *UnsupportedError
	wantError(t, err, nil, "needs Linux "+since)
	if err != nil && !errors.As(err, &lacks) {
		t.Errorf("error %v is no UnsupportedError", err)
	}
}

// TestCgroupAlone is about a cgroup whose program takes no company.
func TestCgroupAlone(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	prog := must[*ebpf.Program](t)(tinyProgram(&ebpf.ProgramSpec{Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps}, 1))
	defer prog.Close()
	cgroup := must[int](t)(unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	defer unix.Close(cgroup)
	alone := link.RawAttachProgramOptions{Target: cgroup, Program: prog, Attach: ebpf.AttachCGroupSockOps}
	if err := link.RawAttachProgram(alone); err != nil {
		t.Fatal(err)
	}
	opts := RunOptions{Attach: attachments(t, "on_connect=sockops:"+dir)}
	_, err := b.Run(t.Context(), verified(t, "x", objCgroupConnects), opts)
	wantError(t, err, unix.EPERM, "to be the only one there", dir)
	if strings.Contains(fmt.Sprint(err), "undoing") {
		t.Error(err)
	}
	if err := link.RawDetachProgram(link.RawDetachProgramOptions(alone)); err != nil {
		t.Fatal(err)
	}
	b.stop(b.start(verified(t, "x", objCgroupConnects), opts))
}
