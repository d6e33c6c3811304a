// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// kernelFeature is one row of the table of kernel features.
type kernelFeature struct {
	// name as a Description has it.
	name string
	// since is the first upstream release of Linux with it.
	since string
	// source says where that is written: commits of Linux.
	source string
}

// What code needs beyond types, helpers and kfuncs.
var (
	featureJumpIfLower = kernelFeature{"instruction set v2", "4.14", "92b31a9af73b (jump if lower)"}
	featureJump32      = kernelFeature{"instruction set v3", "5.1", "092ed0968bb6 (32-bit jumps)"}
	featureISA4        = kernelFeature{"instruction set v4", "6.6", "1f9a1ea821ff, 8100928c8814 (sign extension), 0845c3db7bf5 (byte swap), ec0e2da95f72 (signed division), 4cd58e9af8b9 (long jumps)"}
	featureAtomics     = kernelFeature{"atomic instructions", "5.12", "5ca419f2864a, 5ffa25502b5a, 981f94c3e921 (all but an addition without result)"}
	featureAcquire     = kernelFeature{"load-acquire and store-release", "6.15", "880442305a39"}
	featureMayGoto     = kernelFeature{"may_goto", "6.9", "011832b97b31"}
	featureArenaCast   = kernelFeature{"address space casts", "6.9", "6082b6c328b5"}

	featureLoops          = kernelFeature{"bounded loops", "5.3", "2589726d12a1"}
	featureLarge          = kernelFeature{"more than 4096 instructions", "5.2", "c04c0d2b968a"}
	featureGlobals        = kernelFeature{"global variables", "5.2", "d8eca5bbb2be"}
	featureCalls          = kernelFeature{"calls between BPF functions", "4.16", "cc8b0b92a169"}
	featureCallbacks      = kernelFeature{"callback functions", "5.13", "69c087ba6225"}
	featureMixedTailCalls = kernelFeature{"tail calls beside calls", "5.10", "e411901c0b77 (on x86-64)"}
	featureKfuncs         = kernelFeature{"kernel function calls", "5.13", "e6ac2450d6de"}

	featureXDPFrags        = kernelFeature{"XDP with fragments", "5.18", "c2f2cdbeffda"}
	featureSleepable       = kernelFeature{"sleepable programs", "5.10", "1e6c62a88215 (fentry, fexit, fmod_ret, lsm)"}
	featureSleepableIter   = kernelFeature{"sleepable iterators", "5.18", "b77fb25dcb34"}
	featureSleepableUprobe = kernelFeature{"sleepable uprobes", "6.0", "8c7dcb84e3b7"}
)

// sleepableAttachTypes are those of featureSleepable.
var sleepableAttachTypes = map[string]bool{"trace_fentry": true, "trace_fexit": true, "modify_return": true, "lsm_mac": true}

// mapFlags are the BPF_F_* bits of linux/bpf.h that need a kernel newer than the
// map types they are for.
var mapFlags = []struct {
	bit uint32
	kernelFeature
}{
	{1 << 0, kernelFeature{"map flag BPF_F_NO_PREALLOC", "4.6", "6c9059817432"}},
	{1 << 2, kernelFeature{"map flag BPF_F_NUMA_NODE", "4.14", "96eabe7a40aa"}},
	{1 << 3, kernelFeature{"map flag BPF_F_RDONLY", "4.15", "6e71b04a8224"}},
	{1 << 4, kernelFeature{"map flag BPF_F_WRONLY", "4.15", "6e71b04a8224"}},
	{1 << 5, kernelFeature{"map flag BPF_F_STACK_BUILD_ID", "4.17", "615755a77b24"}},
	{1 << 6, kernelFeature{"map flag BPF_F_ZERO_SEED", "5.0", "96b3b6c9091d"}},
	{1 << 7, kernelFeature{"map flag BPF_F_RDONLY_PROG", "5.2", "591fe9888d78"}},
	{1 << 8, kernelFeature{"map flag BPF_F_WRONLY_PROG", "5.2", "591fe9888d78"}},
	{1 << 9, kernelFeature{"map flag BPF_F_CLONE", "5.4", "8f51dfc73bf1"}},
	{1 << 10, kernelFeature{"map flag BPF_F_MMAPABLE", "5.5", "fc9702273e2e"}},
	{1 << 11, kernelFeature{"map flag BPF_F_PRESERVE_ELEMS", "5.10", "792caccc4526"}},
	{1 << 12, kernelFeature{"map flag BPF_F_INNER_MAP", "5.10", "4a8f87e60f6d"}},
	{1 << 13, kernelFeature{"map flag BPF_F_LINK", "6.4", "68b04864ca42"}},
}
