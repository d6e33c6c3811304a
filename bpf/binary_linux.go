// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/bpf/probes"
)

// userBinary is a program or library that probes go to, open.
type userBinary struct {
	*probes.File
	file *os.File
	// name is its absolute path where it was found, and path one that leads this
	// process to that very file.
	name, path string
}

// Close closes the file; the path is of no use then.
func (b *userBinary) Close() error { return b.file.Close() }

// openBinary opens the file a target names: an absolute path, or a bare name,
// which is looked for where programs and libraries are. Both are meant as the
// process of option mntns sees them, if that is given.
func openBinary(p *placement, name string) (*userBinary, error) {
	root, err := rootOf(p)
	if err != nil {
		return nil, err
	}
	var f *os.File
	for _, candidate := range binaryPaths(name) {
		name = candidate
		if f, err = openIn(root, candidate); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: there is no file %q", p, ErrNoTarget, name)
	case errors.Is(err, errNotRegular):
		return nil, p.usage("%q is not a program or library", name)
	case errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("%s: %w", p, unsupported("paths in another mount namespace (openat2)", "5.6"))
	case err != nil:
		return nil, fmt.Errorf("%s: looking up %q: %w", p, name, err)
	}
	b, err := readBinary(f)
	if err != nil {
		err = joined.Errors(err, f.Close())
		if errors.Is(err, probes.ErrNotProgram) {
			return nil, p.usage("%q is not a program or library for this machine", name)
		}
		return nil, fmt.Errorf("%s: reading %q: %w", p, name, err)
	}
	b.name, b.path = name, name
	if root != "" {
		b.path = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	return b, nil
}

// errNotRegular: a folder, a device, a pipe.
var errNotRegular = errors.New("not a regular file")

// openIn opens a regular file below root, "" for that of this process, as a
// process with that root would: no link in it, absolute or by dots, leads out.
// Nothing else is opened, since that would act on a device or block on a pipe.
func openIn(root, name string) (*os.File, error) {
	dir, how := unix.AT_FDCWD, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	if root != "" {
		fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", root, err)
		}
		defer unix.Close(fd)
		dir, how.Resolve = fd, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS
	}
	fd, err := unix.Openat2(dir, name, how)
	if errors.Is(err, unix.ENOSYS) && root == "" { // before Linux 5.6
		fd, err = unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errNotRegular
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// readBinary reads the frame of a program or library for this machine.
func readBinary(f *os.File) (*userBinary, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	e, err := probes.Open(f, info.Size())
	if err != nil {
		return nil, err
	}
	if machine, ok := machines[runtime.GOARCH]; ok && e.Machine != machine.elf {
		return nil, fmt.Errorf("%w: it is for %s", probes.ErrNotProgram, e.Machine)
	}
	return &userBinary{File: e, file: f}, nil
}

// machines are what ELF and Debian call an architecture.
var machines = map[string]struct {
	elf     elf.Machine
	triplet string
}{
	"amd64":   {elf.EM_X86_64, "x86_64-linux-gnu"},
	"arm64":   {elf.EM_AARCH64, "aarch64-linux-gnu"},
	"riscv64": {elf.EM_RISCV, "riscv64-linux-gnu"},
	"s390x":   {elf.EM_S390, "s390x-linux-gnu"},
}

// binaryPaths are where a file can be. Like libbpf, it looks for a bare name
// where the system keeps libraries or programs, and not where the environment
// says.
func binaryPaths(name string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	dirs := []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"}
	if strings.Contains(name, ".so") {
		triplet := machines[runtime.GOARCH].triplet
		dirs = []string{"/usr/lib64", "/usr/lib/" + triplet, "/usr/lib", "/lib64", "/lib/" + triplet, "/lib"}
	}
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		paths[i] = path.Join(dir, name)
	}
	return append(paths, name)
}

// rootOf is the folder that the process of option mntns sees as its root, "" when
// it is not given.
func rootOf(p *placement) (string, error) {
	value := p.option(inspect.OptionMntns)
	if value == "" {
		return "", nil
	}
	text, _ := strings.CutPrefix(value, "pid:")
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 || text == value {
		return "", p.usage("option mntns is %q; it is pid: and the number of a process", value)
	}
	root := fmt.Sprintf("/proc/%d/root", pid)
	switch _, err := os.Stat(root); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return "", fmt.Errorf("%s: %w: there is no process %d", p, ErrNoTarget, pid)
	case errors.Is(err, fs.ErrPermission):
		return "", &PermissionError{Op: fmt.Sprintf("looking into the mount namespace of process %d", pid), Capability: "CAP_SYS_PTRACE", Err: err}
	case err != nil:
		return "", fmt.Errorf("%s: looking into the mount namespace of process %d: %w", p, pid, err)
	}
	return root, nil
}

// pidOption reads option pid, 0 when it is not given, and checks that there is
// such a process.
func pidOption(p *placement) (int, error) {
	text := p.option("pid")
	if text == "" {
		return 0, nil
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, p.usage("option pid is %q; it is the number of a process", text)
	}
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return 0, fmt.Errorf("%s: %w: there is no process %d", p, ErrNoTarget, pid)
	}
	return pid, nil
}

// cutBinary splits a target at the end of the path; both parts must be there.
// A path with a colon cannot be told from what follows it, as in libbpf.
func cutBinary(p *placement, form string) (name, rest string, err error) {
	name, rest, _ = strings.Cut(p.link.Target, ":")
	if name == "" || rest == "" || (strings.Contains(name, "/") && !path.IsAbs(name)) {
		return "", "", p.usage("the target is %s, and BINARY an absolute path, or the bare name of a program or library of the system", form)
	}
	return name, rest, nil
}

// inTarget calls f with the binary of a target of a form, which is open meanwhile,
// what the target says behind it, and the process of option pid.
func inTarget(p *placement, form string, f func(b *userBinary, rest string, pid int) error) error {
	pid, err := pidOption(p)
	if err != nil {
		return err
	}
	b, rest, err := openTarget(p, form)
	if err != nil {
		return err
	}
	return joined.Errors(f(b, rest, pid), b.Close())
}

// openTarget opens the binary of a target of a form, and has the target name it
// by its path.
func openTarget(p *placement, form string) (b *userBinary, rest string, err error) {
	name, rest, err := cutBinary(p, form)
	if err != nil {
		return nil, "", err
	}
	if b, err = openBinary(p, name); err != nil {
		return nil, "", err
	}
	p.link.Target = b.name + ":" + rest
	return b, rest, nil
}
