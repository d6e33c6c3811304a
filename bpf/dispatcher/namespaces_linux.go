// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxScan bounds how many files of /proc are looked at.
const maxScan = 1 << 20

// errScan says that there is more to look at than is looked at.
var errScan = errors.New("too many processes and files to search them all")

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// attachedEverywhere are the XDP programs of all interfaces of all network
// namespaces that can be found.
func attachedEverywhere(ctx context.Context) (map[uint32]bool, error) {
	used, seen := map[uint32]bool{}, map[uint64]bool{}
	visit := func(path string) error {
		var st unix.Stat_t
		// Gone meanwhile, or of a process whose namespaces are not ours to see: with
		// the privileges to remove pins there is none such but kernel threads.
		if err := unix.Stat(path, &st); err != nil || seen[st.Ino] {
			return nil
		}
		var in unix.Statfs_t
		if err := unix.Statfs(path, &in); err != nil || in.Type != unix.NSFS_MAGIC {
			return nil
		}
		seen[st.Ino] = true
		ids, err := attachedIn(path)
		for _, id := range ids {
			used[id] = true
		}
		return err
	}
	// The one of this thread by a path that leads there from every thread.
	own := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	for _, pattern := range []string{own, "/run/netns/*", "/var/run/docker/netns/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if err := visit(path); err != nil {
				return nil, err
			}
		}
	}
	return used, eachProcess(ctx, func(process string) error {
		return errors.Join(eachEntry(process+"/task", func(thread string) error {
			return visit(thread + "/ns/net")
		}), eachEntry(process+"/fd", func(fd string) error {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "net:[") {
				return visit(fd)
			}
			return nil
		}))
	})
}

// attachedIn are the XDP programs of the interfaces of the network namespace whose
// file path is. It is empty when the namespace ended meanwhile.
func attachedIn(path string) ([]uint32, error) {
	type answer struct {
		ids []uint32
		err error
	}
	// On this thread: the path may be of the calling one's own namespace.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	result := make(chan answer, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, and cannot be met
		// again in the wrong namespace.
		runtime.LockOSThread()
		ids, err := enterAndList(fd)
		result <- answer{ids, err}
	}()
	a := <-result
	if a.err != nil && !gone(a.err) {
		return nil, fmt.Errorf("looking for XDP programs in network namespace %s: %w", path, a.err)
	}
	return a.ids, nil
}

// enterAndList closes the descriptor of the namespace.
func enterAndList(fd int) ([]uint32, error) {
	err := unix.Setns(fd, unix.CLONE_NEWNET)
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return nil, err
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	for range maxTries {
		messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		if errors.Is(err, nl.ErrDumpInterrupted) {
			continue // an interface came or went: what was read may be incomplete
		}
		if err != nil {
			return nil, err
		}
		var ids []uint32
		for _, m := range messages {
			_, slot, err := parseLink(m)
			if err != nil {
				return nil, err
			}
			for _, a := range slot {
				ids = append(ids, a.id)
			}
		}
		return ids, nil
	}
	return nil, nl.ErrDumpInterrupted
}

// openPrograms adds to used the BPF programs that other processes have open.
func openPrograms(ctx context.Context, used map[uint32]bool) error {
	own := "/proc/" + strconv.Itoa(os.Getpid())
	return eachProcess(ctx, func(process string) error {
		if process == own {
			return nil // we hold the lock, so are not about to attach anything
		}
		return eachEntry(process+"/fd", func(fd string) error {
			if to, err := os.Readlink(fd); err != nil || to != "anon_inode:bpf-prog" {
				return nil
			}
			info, err := os.ReadFile(process + "/fdinfo/" + filepath.Base(fd))
			if id, ok := programInInfo(info); err == nil && ok {
				used[id] = true
			}
			return nil
		})
	})
}

// programInInfo is the program's id in what the kernel says of an open file: a line
// "prog_id:\t12" (bpf_prog_show_fdinfo).
func programInInfo(info []byte) (uint32, bool) {
	lines := bufio.NewScanner(bytes.NewReader(info))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "prog_id:"); ok {
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return uint32(id), err == nil
		}
	}
	return 0, false
}

// eachProcess calls f with the folder in /proc of every process.
func eachProcess(ctx context.Context, f func(string) error) error {
	return eachEntry("/proc", func(path string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := strconv.Atoi(filepath.Base(path)); err != nil {
			return nil
		}
		return f(path)
	})
}

// eachEntry calls f with every entry of dir, if there is such a folder.
func eachEntry(dir string, f func(string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil // the process ended, or is not ours to look at
	}
	defer d.Close() //nolint:errcheck // nothing was written
	names, err := d.Readdirnames(maxScan)
	if err = ignoreEOF(err); err != nil && !errors.Is(err, unix.ESRCH) && !gone(err) {
		return err
	}
	if len(names) == maxScan {
		return fmt.Errorf("%s: %w", dir, errScan)
	}
	for _, name := range names {
		if err := f(dir + "/" + name); err != nil {
			return err
		}
	}
	return nil
}
