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
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

// maxScan bounds how many files of /proc are looked at.
const maxScan = 1 << 20

// ErrBlind says that not every process of the system is to be seen, so that nobody
// can tell from here which dispatchers are attached in some network namespace.
var ErrBlind = errors.New("cannot see every process of the system")

// firstPIDNamespace is the inode of the process namespace that all others are in
// (PROC_PID_INIT_INO, linux/proc_ns.h).
const firstPIDNamespace = 0xEFFFFFFC

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// search collects the XDP programs of network namespaces, each of which is looked
// at once, and those that processes have open.
type search struct {
	used map[uint32]bool // programs
	seen map[uint64]bool // namespaces, by inode
}

func newSearch() *search { return &search{used: map[uint32]bool{}, seen: map[uint64]bool{}} }

// namespace looks at the network namespace whose file path is, if that it is.
func (s *search) namespace(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || s.seen[st.Ino] {
		return unlessGone(err)
	}
	var in unix.Statfs_t
	if err := unix.Statfs(path, &in); err != nil || in.Type != unix.NSFS_MAGIC {
		return unlessGone(err)
	}
	ids, err := attachedIn(path)
	if err != nil {
		return unlessGone(err) // another path may still lead there
	}
	s.seen[st.Ino] = true
	for _, id := range ids {
		s.used[id] = true
	}
	return nil
}

// named looks at the namespace of the calling thread and at those with a name.
func (s *search) named() error {
	// By a path that leads to the same from every thread.
	own := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	for _, pattern := range []string{own, "/run/netns/*", "/var/run/docker/netns/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := s.namespace(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// processes looks at the namespaces that threads are in or have open, and at those
// that are mounted somewhere in what a process sees of the file system.
func (s *search) processes(ctx context.Context) error {
	views := map[uint64]bool{}
	return eachProcess(ctx, func(process string) error {
		return joined.Errors(s.mounted(process, views), eachEntry(process+"/task", func(thread string) error {
			return s.namespace(thread + "/ns/net")
		}), eachEntry(process+"/fd", func(fd string) error {
			to, err := os.Readlink(fd)
			if err != nil || !strings.HasPrefix(to, "net:[") {
				return unlessGone(err)
			}
			return s.namespace(fd)
		}))
	})
}

// attachedIn are the XDP programs of the interfaces of the network namespace whose
// file path is. The error wraps fs.ErrNotExist when there is no such file any more:
// then nothing is known of the namespace.
func attachedIn(path string) ([]uint32, error) {
	// On this thread: the path may be of the calling one's own namespace.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	var ids []uint32
	err = ownthread.Do(func() (err error) {
		ids, err = enterAndList(fd)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for XDP programs in network namespace %s: %w", path, err)
	}
	return ids, nil
}

// enterAndList closes the descriptor of the namespace.
func enterAndList(fd int) ([]uint32, error) {
	err := unix.Setns(fd, unix.CLONE_NEWNET)
	if err = joined.Errors(err, unix.Close(fd)); err != nil {
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

// open looks for the BPF programs that other processes have open.
func (s *search) open(ctx context.Context) error {
	own := "/proc/" + strconv.Itoa(os.Getpid())
	return eachProcess(ctx, func(process string) error {
		if process == own {
			return nil // we hold the lock, so are not about to attach anything
		}
		return eachEntry(process+"/fd", func(fd string) error {
			if to, err := os.Readlink(fd); err != nil || to != "anon_inode:bpf-prog" {
				return unlessGone(err)
			}
			info, err := os.ReadFile(process + "/fdinfo/" + filepath.Base(fd))
			if id, ok := programInInfo(info); ok {
				s.used[id] = true
			}
			return unlessGone(err)
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

// unlessGone is err unless that is that a process or file ended meanwhile.
func unlessGone(err error) error {
	switch {
	case err == nil, gone(err), errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrBlind, err)
	default:
		return err
	}
}

// seesAll is [ErrBlind] where /proc does not show every process.
func seesAll() error {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return fmt.Errorf("%w: /proc/self/ns/pid: %w", ErrBlind, err)
	}
	if st.Ino != firstPIDNamespace {
		return fmt.Errorf("%w from a container with process numbers of its own", ErrBlind)
	}
	return nil
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
		return unlessGone(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(maxScan)
	if err := unlessGone(ignoreEOF(err)); err != nil {
		return err
	}
	if len(names) == maxScan {
		return fmt.Errorf("%w: %s has too many entries", ErrBlind, dir)
	}
	for _, name := range names {
		path := dir + "/" + name
		if err := f(path); err != nil && !endedMeanwhile(path, err) {
			return err
		}
	}
	return nil
}

// endedMeanwhile says whether err, which came of the file at path in /proc, is how
// the kernel says that a process ended: it refuses to follow the links of one that
// is no more (EACCES, proc_ns_get_link and proc_pid_get_link in fs/proc).
func endedMeanwhile(path string, err error) bool {
	if !errors.Is(err, ErrBlind) {
		return false
	}
	_, there := os.Lstat(path)
	return there != nil && unlessGone(there) == nil
}
