// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpfimg/bpfimg/schemas"
)

// flagXDPFrags is BPF_F_XDP_HAS_FRAGS of linux/bpf.h.
const flagXDPFrags = 1 << 5

// needs collects kernel features: the first release of Linux by feature. What
// this version knows no release of is left out, for then it would be a guess.
type needs map[string]string

// add notes a feature unless nothing is known of it.
func (n needs) add(feature, since string) {
	if since != "" {
		n[feature] = since
	}
}

// row notes one of the features in the table.
func (n needs) row(f kernelFeature) { n.add(f.name, f.since) }

// minKernel is the highest release, "" when there is none.
func (n needs) minKernel() string {
	highest := ""
	for _, since := range n {
		highest = laterRelease(highest, since)
	}
	return highest
}

// laterRelease is the later of two releases of Linux such as "5.17"; "" is
// before all others.
func laterRelease(a, b string) string {
	if compareReleases(a, b) < 0 {
		return b
	}
	return a
}

// compareReleases orders releases of Linux, "5.9" before "5.10".
func compareReleases(a, b string) int {
	majorA, minorA := release(a)
	majorB, minorB := release(b)
	return cmp.Or(cmp.Compare(majorA, majorB), cmp.Compare(minorA, minorB))
}

func release(s string) (major, minor int) {
	first, rest, _ := strings.Cut(s, ".")
	major, _ = strconv.Atoi(first) // 0 for "", which is before all
	minor, _ = strconv.Atoi(rest)
	return major, minor
}

// objectMinKernel is the highest release that the maps and the programs that are
// loaded by default need.
func objectMinKernel(spec *ebpf.CollectionSpec, programs []schemas.Program) string {
	n := needs{}
	for _, m := range spec.Maps {
		n.ofMap(m)
	}
	highest := n.minKernel()
	for _, p := range programs {
		if !strings.HasPrefix(p.Section, "?") {
			highest = laterRelease(highest, p.MinKernel)
		}
	}
	return highest
}

// ofProgram notes what p needs, with the maps it uses. weak are the kernel
// functions it does without where there are none.
func (n needs) ofProgram(p *ebpf.ProgramSpec, maps map[string]*ebpf.MapSpec, weak map[string]bool) {
	n.ofType(p)
	n.ofCalls(p.Instructions, weak)
	n.ofCode(p.Instructions)
	used := map[string]bool{}
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if name := ins.Reference(); ins.IsLoadFromMap() && !used[name] && maps[name] != nil {
			used[name] = true
			n.ofMap(maps[name])
		}
	}
}

// ofType notes the types of the program and the flags it is loaded with.
func (n needs) ofType(p *ebpf.ProgramSpec) {
	name := programType(p.Type)
	n.add("program type "+name, since(programTypeReleases, p.Type))
	attach := attachType(p)
	if attach != "" && !ignoredAttachTypes[attach] {
		n.add("attach type "+attach, since(attachTypeReleases, p.AttachType))
	}
	if p.Flags&flagXDPFrags != 0 {
		n.row(featureXDPFrags)
	}
	if p.Flags&flagSleepable == 0 {
		return
	}
	switch {
	case sleepableAttachTypes[attach]:
		n.row(featureSleepable)
	case attach == "trace_iter":
		n.row(featureSleepableIter)
	case name == "kprobe":
		n.row(featureSleepableUprobe)
	}
}

// replacedHelpers are those that loaders exchange for an older one where the
// kernel lacks them (libbpf's probe_read fix-ups), which is what is needed then.
var replacedHelpers = map[string]string{
	"bpf_probe_read_kernel": "bpf_probe_read", "bpf_probe_read_user": "bpf_probe_read",
	"bpf_probe_read_kernel_str": "bpf_probe_read_str", "bpf_probe_read_user_str": "bpf_probe_read_str",
}

// ofCalls notes helpers, kfuncs, subprograms and callbacks.
func (n needs) ofCalls(insns asm.Instructions, weak map[string]bool) {
	calls, tailCalls := false, false
	for i := range insns {
		switch ins := &insns[i]; {
		case ins.IsBuiltinCall():
			tailCalls = tailCalls || ins.Constant == int64(asm.FnTailCall)
			n.ofHelper(ins.Constant)
		case ins.IsKfuncCall() && !weak[ins.Reference()]:
			n.row(featureKfuncs)
			n.add(ins.Reference(), kfuncReleases[ins.Reference()])
		case ins.IsFunctionCall():
			calls = true
			n.row(featureCalls)
		case ins.IsLoadOfFunctionPointer():
			n.row(featureCallbacks)
		}
	}
	if calls && tailCalls {
		n.row(featureMixedTailCalls)
	}
}

func (n needs) ofHelper(number int64) {
	name := helperName(number)
	if older := replacedHelpers[name]; older != "" {
		name, number = older, helperNumber(older)
	}
	n.add(name, HelperSince(number))
}

// helperNumber is the number of a helper by its C name, 0 when there is none.
func helperNumber(name string) int64 {
	for i, n := range helperNames {
		if "bpf_"+n == name {
			return int64(i)
		}
	}
	return 0
}

// ofMap notes the type and flags of a map, and of the maps in it. Those that the
// compiler makes for variables are up to the loader.
func (n needs) ofMap(m *ebpf.MapSpec) {
	if strings.HasPrefix(m.Name, ".") {
		return
	}
	name := mapType(m.Type)
	n.add("map type "+name, MapTypeSince(name))
	for _, f := range mapFlags {
		if m.Flags&f.bit != 0 {
			n.row(f.kernelFeature)
		}
	}
	if inner := m.InnerMap; inner != nil && inner.InnerMap == nil {
		n.ofMap(inner)
	}
}
