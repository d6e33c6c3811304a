// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import (
	"encoding/json"
	"slices"
)

// DescriptionVersion is the version of the [Description] this package writes.
const DescriptionVersion = 1

// Description says what an image contains, as read from the ELF files. It is
// written by `bpfimg build`; a node never takes a decision from it, only from
// the verified bytes themselves.
type Description struct {
	// SchemaVersion is [DescriptionVersion]. A reader refuses a higher one.
	SchemaVersion int `json:"schemaVersion"`
	// Name and Version come from the build file; both may be empty.
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// Objects in the order they were given to build, which is load order.
	Objects []Object `json:"objects"`
}

// Object is one compiled BPF ELF file.
type Object struct {
	// File is the base name of the file in the layer; it ends in ".o".
	File string `json:"file"`
	// Digest of the file, "sha256:<hex>".
	Digest string `json:"digest"`
	// Size in bytes.
	Size int64 `json:"size"`
	// Endianness is "little" or "big".
	Endianness string `json:"endianness"`
	// Arch hints at the CPU architecture the object was compiled for, in GOARCH
	// spelling ("amd64"); empty when the object does not tell (most do not).
	Arch string `json:"arch,omitempty"`
	// License is the content of the "license" section.
	License string `json:"license,omitempty"`
	// BTF says whether the object carries type information, CORE whether it
	// carries CO-RE relocations against kernel types.
	BTF  bool `json:"btf"`
	CORE bool `json:"core"`
	// Compiler is the producer string the compiler left, if any.
	Compiler string `json:"compiler,omitempty"`
	// MinKernel is the oldest upstream release of Linux with all that the maps
	// need, and all programs but those whose section begins with a question mark,
	// which are not loaded by default: "5.17". Empty when nothing is known.
	// [Program.MinKernel] says what it means.
	MinKernel string `json:"minKernel,omitempty"`
	// Programs and Maps sorted by name.
	Programs []Program `json:"programs"`
	Maps     []Map     `json:"maps"`
	// Variables are the global variables of .data, .bss and .rodata, and those
	// that the kernel is to provide (extern), sorted by name.
	Variables []Variable `json:"variables,omitempty"`
}

// Program is one entry point of an [Object].
type Program struct {
	Name string `json:"name"`
	// Type is the kernel's program type in libbpf's lower-case spelling:
	// "xdp", "sched_cls", "kprobe", "tracing", …; "unspec" when the section name
	// says nothing.
	Type string `json:"type"`
	// AttachType in libbpf's lower-case spelling ("trace_fentry",
	// "cgroup_inet_ingress"); empty when there is none.
	AttachType string `json:"attachType,omitempty"`
	// Section is the ELF section as written in the source.
	Section string `json:"section"`
	// Hook is bpfimg's name of where the program goes, as `--attach` spells it:
	// "xdp", "tc", "kprobe", …; empty when unknown.
	Hook string `json:"hook,omitempty"`
	// Target is what the section or the build file already says of the hook's
	// target: a kernel function, a tracepoint "group/name", ….
	Target string `json:"target,omitempty"`
	// Options are attach defaults: from the section ("direction" of a tc
	// program) or from the build file, which wins.
	Options map[string]string `json:"options,omitempty"`
	// Instructions counts 8-byte BPF instructions, before any inlining of
	// subprograms by the loader.
	Instructions int `json:"instructions"`
	// License is the license the kernel will see for this program.
	License string `json:"license,omitempty"`
	// Helpers and Kfuncs are the kernel functions it calls, sorted, once each.
	Helpers []string `json:"helpers,omitempty"`
	Kfuncs  []string `json:"kfuncs,omitempty"`
	// Sleepable says whether the program may sleep (".s" sections).
	Sleepable bool `json:"sleepable,omitempty"`
	// MinKernel is the highest release among Features. It is an estimate from
	// what the code mentions: distributions carry features back to older kernels,
	// [Program.Adaptive] code may run on older ones, and what is not in the table
	// of features may need a newer one.
	MinKernel string `json:"minKernel,omitempty"`
	// Features are what the program and the maps it uses need of the kernel, each
	// with the first upstream release of Linux that has it: "bpf_loop" (helpers
	// and kfuncs by their name), "map type ringbuf", "bounded loops", ….
	Features map[string]string `json:"features,omitempty"`
	// Adaptive says that the code asks what the kernel has (CO-RE checks of
	// existence, kernel configuration, weak kernel symbols), so that it may do
	// without some of Features, and run on kernels before MinKernel.
	Adaptive bool `json:"adaptive,omitempty"`
	// TailCalls are the maps it tail-calls through, sorted by map and index.
	TailCalls []TailCall `json:"tailCalls,omitempty"`
	// Variables are the names of the global variables it reads or writes, sorted.
	Variables []string `json:"variables,omitempty"`
}

// NewestFeatures are those of Features that MinKernel is about, sorted.
func (p Program) NewestFeatures() []string {
	var out []string
	for name, since := range p.Features {
		if since == p.MinKernel {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// TailCall is a jump of a [Program] into another one.
type TailCall struct {
	// Map is the name of the map of type prog_array that holds the other program.
	Map string `json:"map"`
	// Index in the map, nil when it is not a constant. [Map.Values] says which
	// program is there in the beginning.
	Index *uint32 `json:"index,omitempty"`
}

// Map is one map definition of an [Object]. Compiler-made data maps (.rodata,
// .data, .bss, .kconfig) are listed too.
type Map struct {
	Name string `json:"name"`
	// Type in libbpf's lower-case spelling: "hash", "percpu_array", ….
	Type string `json:"type"`
	// KeySize and ValueSize in bytes.
	KeySize   uint32 `json:"keySize"`
	ValueSize uint32 `json:"valueSize"`
	// KeyType and ValueType are the C types, when the object has BTF.
	KeyType   string `json:"keyType,omitempty"`
	ValueType string `json:"valueType,omitempty"`
	// MaxEntries is 0 where the kernel or the loader chooses.
	MaxEntries uint32 `json:"maxEntries"`
	// Flags are the BPF_F_* bits of the definition (linux/bpf.h).
	Flags uint32 `json:"flags,omitempty"`
	// Pinning is "" or "by_name".
	Pinning string `json:"pinning,omitempty"`
	// Inner is the definition of the maps that this map of maps holds.
	Inner *Map `json:"inner,omitempty"`
	// Values are what a map of programs or maps holds in the beginning: the name
	// of a program or map by its index in decimal.
	Values map[string]string `json:"values,omitempty"`
	// Memory is what the map takes of the kernel's memory when it is full, in
	// bytes, and MemoryPerCPU what it takes besides for each possible CPU:
	// estimates for 64-bit kernels with pages of 4 KiB. 0 where it depends on more
	// than the definition says. What entries refer to (inner maps, sockets) is
	// not counted.
	Memory       uint64 `json:"memory,omitempty"`
	MemoryPerCPU uint64 `json:"memoryPerCPU,omitempty"`
}

// Variable is one global variable.
type Variable struct {
	Name string `json:"name"`
	// Type is the C type, empty without BTF.
	Type string `json:"type,omitempty"`
	// Size in bytes.
	Size uint32 `json:"size"`
	// Constant says whether it lives in .rodata: settable only before load.
	Constant bool `json:"constant,omitempty"`
	// Default is the value it has in the object: a number, bool, string, array or
	// object as its type says (an enumerator and an address are strings), or a
	// string of hexadecimal digits ("0x0a00") where the type does not fit. It is
	// absent when all its bytes are 0, when there are too many of them, and for
	// variables that the kernel provides.
	Default json.RawMessage `json:"default,omitempty"`
	// Extern is where the loader takes the value from: "kconfig" for the
	// configuration of the kernel, "ksym" for the address of a kernel symbol; ""
	// for a variable of the object.
	Extern string `json:"extern,omitempty"`
	// Weak says of an extern one that the object does without it.
	Weak bool `json:"weak,omitempty"`
}
