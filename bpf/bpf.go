// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"log/slog"

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
}

// RunOptions of [Manager.Run].
type RunOptions struct {
	// Name of the instance; default: the last element of the repository.
	Name string
	// Attach overrides where programs go. Programs without an entry use the
	// image's defaults or what their section says.
	Attach []schemas.Attachment
	// Iface is the target of the one network program of the image, "" when not
	// given.
	Iface string
	// Foreground pins nothing: everything goes when the caller closes the
	// returned [Running].
	Foreground bool
}

// Status is an instance's record compared with the kernel.
type Status struct {
	schemas.Instance
	// Problems are sentences on where record and kernel differ; empty when they
	// agree.
	Problems []string `json:"problems,omitempty"`
}

// MapDump is the content of one map, formatted through BTF where it has any.
type MapDump struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	KeyType    string     `json:"keyType,omitempty"`
	ValueType  string     `json:"valueType,omitempty"`
	MaxEntries uint32     `json:"maxEntries"`
	Entries    []MapEntry `json:"entries"`
	// Truncated says that the map has more entries than were read.
	Truncated bool `json:"truncated,omitempty"`
}

// MapEntry is one key and its value. Key, Value and the elements of PerCPU are
// JSON-ready: json.Number, string, bool, []any, or [Struct] with fields in
// declaration order.
type MapEntry struct {
	Key   any `json:"key"`
	Value any `json:"value"`
	// PerCPU holds one value a possible CPU of a per-CPU map, whose Value is
	// their field-wise sum.
	PerCPU []any `json:"perCpu,omitempty"`
}

// Struct is a C struct or union with its fields in declaration order.
type Struct []Field

// Field is one member of a [Struct].
type Field struct {
	Name  string
	Value any
}
