// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package linklist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// most bounds how many links are looked at.
const most = 1 << 16

// errTooMany says that there are more: what was looked for may be among the rest.
var errTooMany = errors.New("there are too many of them")

// Walk calls f with what the kernel says of each bpf_link of the system, in the order
// of their numbers, until f says it is enough. Left out are links that come or go
// meanwhile, and those of kinds the library cannot read. The error wraps EINVAL on
// kernels without links (before 5.8), and EPERM without CAP_SYS_ADMIN.
func Walk(ctx context.Context, f func(*link.Info) (enough bool)) error { return walk(ctx, most, f) }

func walk(ctx context.Context, most int, f func(*link.Info) (enough bool)) error {
	id := link.ID(0)
	for range most {
		if ctx.Err() != nil {
			return fmt.Errorf("listing bpf_links: %w", context.Cause(ctx))
		}
		var err error
		if id, err = after(id); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing bpf_links: %w", err)
		}
		info, err := read(id)
		if err != nil {
			return fmt.Errorf("opening bpf_link %d: %w", id, err)
		}
		if info != nil && f(info) {
			return nil
		}
	}
	return fmt.Errorf("listing bpf_links: %w: %d or more", errTooMany, most)
}

// after is the next link's number. The library's iterator ends at a link that is
// being attached, and does not say which one that is.
func after(id link.ID) (link.ID, error) {
	attr := struct{ start, next, flags uint32 }{start: uint32(id)}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_GET_NEXT_ID, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return 0, errno
	}
	return link.ID(attr.next), nil
}

// read is nil for a link that is gone, or not attached yet: then the kernel says
// EAGAIN (bpf_link_by_id, kernel/bpf/syscall.c).
func read(id link.ID) (*link.Info, error) {
	l, err := link.NewFromID(id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EAGAIN) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return nil, nil // of a kind the library does not know
	}
	return info, nil
}
