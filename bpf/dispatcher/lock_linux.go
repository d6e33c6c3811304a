// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// lockPoll is how often the lock is tried for while somebody else has it. A
// blocking flock(2) could not be given up when the context ends. Those who use the
// protocol keep the lock for some milliseconds.
const lockPoll = 5 * time.Millisecond

// defaultBPFFS is where the BPF file system is by convention, and bpffsVariable
// names another place, for libxdp and for us.
const (
	defaultBPFFS  = "/sys/fs/bpf"
	bpffsVariable = "LIBXDP_BPFFS"
)

// folder is the folder the protocol wants, which is locked and in which the pins
// are.
func (o Options) folder() (string, error) {
	bpffs := o.BPFFS
	if bpffs == "" {
		bpffs = os.Getenv(bpffsVariable)
	}
	if bpffs == "" {
		bpffs = defaultBPFFS
	}
	if !filepath.IsAbs(bpffs) {
		return "", fmt.Errorf("the BPF file system %q is not an absolute path", bpffs)
	}
	return filepath.Join(bpffs, "xdp"), nil
}

// Dispatchers is the right to change dispatchers: the lock that all users of the
// protocol take. It is not for several goroutines.
type Dispatchers struct {
	folder string
	lock   *os.File
	at     func(step string) error
	target *ebpf.Program // nil until asked for
}

// Open takes the lock, and waits for it until ctx ends. The folder is made when it
// is missing.
func Open(ctx context.Context, opts Options) (*Dispatchers, error) {
	folder, err := opts.folder()
	if err != nil {
		return nil, err
	}
	d := &Dispatchers{folder: folder, at: opts.At}
	if d.at == nil {
		d.at = func(string) error { return nil }
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		if d.lock, err = tryLock(folder); d.lock != nil || err != nil {
			return d, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock on %s: %w", folder, context.Cause(ctx))
		}
	}
}

// tryLock is nil when somebody else has the lock, or took the folder away.
func tryLock(folder string) (*os.File, error) {
	// Where there is another file system nothing is made.
	if err := inBPFFS(filepath.Dir(folder)); err != nil {
		return nil, err
	}
	// A link there, such as old versions of iproute2 made, leads to a folder.
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the folder of XDP dispatchers: %w", err)
	}
	f, err := os.OpenFile(folder, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of XDP dispatchers: %w", err)
	}
	locked, err := lockFolder(f)
	if locked && err == nil {
		return f, nil
	}
	return nil, joined.Errors(err, f.Close())
}

// inBPFFS refuses what is not in a BPF file system.
func inBPFFS(path string) error {
	var in unix.Statfs_t
	if err := unix.Statfs(path, &in); err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	if in.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is not in a BPF file system; mount one with `mount -t bpf bpf %s`", path, defaultBPFFS)
	}
	return nil
}

// lockFolder is false when somebody else has the lock, or took the folder away.
func lockFolder(f *os.File) (locked bool, err error) {
	// Through a link it may be elsewhere.
	if err := inBPFFS(f.Name()); err != nil {
		return false, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	mine, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", f.Name(), err)
	}
	if err := Private(mine); err != nil {
		return false, fmt.Errorf("in %s: %w", filepath.Dir(f.Name()), err)
	}
	there, err := os.Stat(f.Name())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("looking at %s: %w", f.Name(), err)
	}
	return err == nil && os.SameFile(mine, there), nil
}

// ErrNotPrivate says that others may take the pins away that are in a folder, and so
// cut programs out of a chain: anybody may make folders in a BPF file system that is
// mounted without a mode.
var ErrNotPrivate = errors.New("others may remove what is pinned there")

// Private is [ErrNotPrivate] unless folder belongs to root or to the user of this
// process, and only its owner may change what is in it.
func Private(folder fs.FileInfo) error {
	st, ok := folder.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("reading the owner of folder %s: the system does not tell", folder.Name())
	}
	if uid := st.Uid; (uid != 0 && int(uid) != os.Geteuid()) || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("folder %q belongs to user %d and has mode %#o: %w; remove it, or `chown root` and `chmod 0700` it when you know what is in it",
			folder.Name(), uid, st.Mode&0o7777, ErrNotPrivate)
	}
	return nil
}

// Close gives the lock up.
func (d *Dispatchers) Close() error {
	var err error
	if d.target != nil {
		err = d.target.Close()
	}
	return joined.Errors(err, d.lock.Close())
}

// Target is a dispatcher that is attached nowhere, and the name of a function of
// it: programs of type EXT are loaded with these as AttachTarget and AttachTo, and
// can then be in any chain. The program is closed with d.
func (d *Dispatchers) Target() (prog *ebpf.Program, function string, err error) {
	if d.target == nil {
		if d.target, err = loadScratch(); err != nil {
			return nil, "", err
		}
	}
	return d.target, stubName(0), nil
}

// loadScratch loads a dispatcher that is for loading components against only.
func loadScratch() (*ebpf.Program, error) {
	prog, _, err := loadDispatcher(config{slots: []slotConfig{{}}})
	return prog, err
}
