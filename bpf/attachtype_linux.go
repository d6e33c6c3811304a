// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// sinceAttachType is the first version of Linux with an attach type, where that is
// newer than the program type and the links bpfimg needs; else "". From
// enum bpf_attach_type of the kernels' include/uapi/linux/bpf.h.
func sinceAttachType(at ebpf.AttachType) string {
	switch at {
	case ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername,
		ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCgroupInet6GetSockname:
		return "5.8"
	case ebpf.AttachCgroupInetSockRelease:
		return "5.9"
	case ebpf.AttachSkSKBVerdict:
		return "5.13"
	case ebpf.AttachSkReuseportSelectOrMigrate:
		return "5.14"
	case ebpf.AttachCgroupUnixConnect, ebpf.AttachCgroupUnixSendmsg, ebpf.AttachCgroupUnixRecvmsg,
		ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupUnixGetsockname:
		return "6.7"
	}
	return ""
}

// haveAttachType asks the kernel for an attach type that is newer than its
// program type, by loading a program that returns 1.
func haveAttachType(program ebpf.ProgramType, at ebpf.AttachType) error {
	since := sinceAttachType(at)
	if since == "" {
		return nil
	}
	if err := features.HaveProgramType(program); err != nil {
		return err
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: program, AttachType: at}, 1)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.E2BIG) || errors.Is(err, ebpf.ErrNotSupported) {
		return unsupported(fmt.Sprintf("attach type %s", at), since)
	}
	if err != nil {
		return fmt.Errorf("asking the kernel about attach type %s: %w", at, err)
	}
	return prog.Close()
}
