// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/bpfimg/bpfimg/bpf/mapdump"
	"github.com/bpfimg/bpfimg/internal/btfvalue"
	"github.com/bpfimg/bpfimg/schemas"
)

// Errors a caller decides on; test with [errors.Is].
var (
	// ErrNeedsLinux is the answer of every door on other operating systems.
	ErrNeedsLinux = errors.New("needs Linux: BPF programs can only be loaded into a Linux kernel")
	// ErrNoInstance: no instance (or map of it) of that name.
	ErrNoInstance = errors.New("no such instance")
	// ErrExists: an instance of that name runs already.
	ErrExists = errors.New("an instance of that name exists already")
	// ErrUsage: an attachment that cannot be meant: unknown hook, program or
	// option, or a missing target.
	ErrUsage = errors.New("wrong attachment")
	// ErrSetting: a variable, map, mode or group that cannot be set as asked.
	ErrSetting = errors.New("wrong setting")
	// ErrNoTarget: the interface, kernel function or tracepoint to attach to
	// does not exist here.
	ErrNoTarget = errors.New("no such attach target")
	// ErrNoMap: a pinned map that was to be used does not exist.
	ErrNoMap = errors.New("no such map")
	// ErrMapDiffers: a map that was to be used is not what the programs were
	// written for.
	ErrMapDiffers = errors.New("the map has another definition")
	// ErrLocked: another bpfimg is changing instances and did not finish in time.
	ErrLocked = errors.New("another bpfimg is at work")
)

// KernelError says that the kernel refused a program, a map or an attachment.
type KernelError struct {
	// Op says what was tried ("loading program xdp_count").
	Op string
	// Log is the whole verifier log, empty when there is none.
	Log string
	// LogFile is where Log was saved, empty when it was not.
	LogFile string
	// Err is the cause, put into words a person can act on.
	Err error
}

// Error gives the operation and the cause in one sentence, without the log.
func (e *KernelError) Error() string { return fmt.Sprintf("%s: the kernel refused: %v", e.Op, e.Err) }

// Unwrap returns the cause.
func (e *KernelError) Unwrap() error { return e.Err }

// PermissionError says which capability is missing.
type PermissionError struct {
	// Op says what was tried, Capability what it needs ("CAP_BPF").
	Op, Capability string
	Err            error
}

// Error names the operation and the capability.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("%s: not permitted: needs %s", e.Op, e.Capability)
}

// Unwrap returns the cause.
func (e *PermissionError) Unwrap() error { return e.Err }

// UnsupportedError says that this kernel lacks a feature.
type UnsupportedError struct {
	// Feature in the field's words ("tcx links"), Since the first kernel version
	// with it ("6.6", empty when a build option decides), Kernel what runs here.
	Feature, Since, Kernel string
}

// Error names the feature, since when it exists, and this kernel.
func (e *UnsupportedError) Error() string {
	if e.Since == "" {
		return fmt.Sprintf("this kernel (%s) was built without %s", e.Kernel, e.Feature)
	}
	return fmt.Sprintf("%s: needs Linux %s or newer, this is %s", e.Feature, e.Since, e.Kernel)
}

// HookSupport says whether this kernel can do what one hook needs.
type HookSupport struct {
	// Hook is its name in [inspect.Hooks].
	Hook string
	// Known says that this version of bpfimg attaches to it; Err then says what
	// the kernel lacks, nil when it can be used.
	Known bool
	Err   error
}

// Options of [Open].
type Options struct {
	// BPFFS is the folder for pins; default /sys/fs/bpf/bpfimg. The bpffs above
	// it is mounted if it is not.
	BPFFS string
	// State is the folder for instance records, verifier logs and the lock;
	// required.
	State string
	// Log receives notices and warnings; default: discard.
	Log *slog.Logger
	// LockWait is how long Run and Stop wait for another bpfimg that is changing
	// instances; default 10 s.
	LockWait time.Duration

	// step is called before every step of Run and Stop; an error (or a kill)
	// there is how tests interrupt them. Nil in production.
	step func(name string) error
	// withoutKernelBTF has the manager take the kernel for one without BTF. For
	// tests.
	withoutKernelBTF bool
}

// RunOptions of [Manager.Run].
type RunOptions struct {
	// Name of the instance; default: the last element of the repository.
	Name string
	// Attach overrides where programs go. Programs without an entry use the
	// image's defaults or what their section says. The hook "none" loads a
	// program without attaching it.
	Attach []schemas.Attachment
	// Iface is the target of the one network program of the image, "" when not
	// given.
	Iface string
	// Foreground pins nothing: everything goes when the caller closes the
	// returned [Running].
	Foreground bool
	// Set gives global variables other values than those in the objects, typed and
	// range-checked through BTF; see package btfvalue.
	Set []schemas.VariableSetting
	// MaxEntries gives maps other sizes, by name. Here and in UseMaps a map is
	// named as `map ls` does: FILE/NAME when several objects have one of a name.
	MaxEntries map[string]uint32
	// UseMaps puts maps that are pinned elsewhere, by path, in the place of the
	// objects' own, by name. They must have the same definition.
	UseMaps map[string]string
	// ShareMaps are instances whose maps are used in the place of those of the
	// same name in the objects. A name in common whose definition differs is an
	// error, and so is nothing in common.
	ShareMaps []string
	// KernelBTF are types to relocate the programs by instead of the kernel's own:
	// raw BTF, or an ELF file with it (vmlinux). Default: the kernel's, and what the
	// image brings for kernels without.
	KernelBTF []byte
	// MapMode is the mode of the maps' pins, read and write bits only; default
	// 0600, or 0660 with a MapGroup. Whoever it lets open a map may also pass, but
	// not list, the folders above it.
	MapMode fs.FileMode
	// MapGroup is the name or number of the group the maps' pins belong to;
	// default: root's.
	MapGroup string
}

// Status is an instance's record compared with the kernel. State is empty for
// pins that no record explains.
type Status struct {
	schemas.Instance
	// Problems are sentences on where record and kernel differ; empty when they
	// agree.
	Problems []string `json:"problems,omitempty"`
	// Runs of each program, in the order of Programs, as far as the kernel
	// counted them; Counting says that it does.
	Runs     []ProgramRuns `json:"runs,omitempty"`
	Counting bool          `json:"counting"`
}

// Running is what [Manager.Run] returns.
type Running struct {
	// Instance is the record of what was started.
	Instance schemas.Instance

	close func() error
}

// Close ends a foreground run: it detaches everything and waits until the
// kernel has let go. Otherwise it does nothing. Only the first call counts.
func (r *Running) Close() error {
	if r.close == nil {
		return nil
	}
	end := r.close
	r.close = nil
	return end()
}

// The dump of a map; see package btfvalue for how values are written.
type (
	// MapDump is the content of one map.
	MapDump = mapdump.Dump
	// MapEntry is one key and its value.
	MapEntry = mapdump.Entry
	// Struct is a C struct or union with its fields in declaration order.
	Struct = btfvalue.Struct
	// Field is one member of a [Struct].
	Field = btfvalue.Field
)
