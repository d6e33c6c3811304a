// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pulltest

// What bpfimg calls the formats; package pull has the same words.
const (
	formatGadget    = "Inspektor Gadget"
	formatBumblebee = "bumblebee"
	formatBpfman    = "bpfman"
	formatBpfmanOld = "bpfman (old labels)"
	formatELF       = "plain ELF layer"
	formatContainer = "plain container image"
)

// Labels of the eBPF bytecode image specification, now and in older versions.
const (
	labelPrograms = "io.ebpf.programs"
	labelMaps     = "io.ebpf.maps"
)

// Labels of bpfman's images, as its documentation of each time lists them.
var (
	labelsNow = map[string]string{labelPrograms: `{"xdp_count":"xdp"}`, labelMaps: `{"pkts":"percpu_hash"}`}
	// labels2023 name the function, labels2022 the section.
	labels2023 = map[string]string{
		"io.ebpf.program_name": "counter", "io.ebpf.bpf_function_name": "xdp_count",
		"io.ebpf.program_type": "xdp", "io.ebpf.filename": "counter.bpf.o", "io.ebpf.kernel_version": "6.5.5",
	}
	labels2022 = map[string]string{
		"io.ebpf.program_name": "xdp_count", "io.ebpf.section_name": "xdp",
		"io.ebpf.program_type": "xdp", "io.ebpf.filename": "counter.elf", "io.ebpf.kernel_version": "5.18.6",
	}
)

// Fixtures are all ways to write an image that are made here.
var Fixtures = []Fixture{
	{Name: "gadget", Format: formatGadget, Object: "program.o", write: gadgetNow},
	{Name: "gadget-full", Format: formatGadget, Object: "program.o", Notes: []string{"WebAssembly", "BTF"}, write: gadgetFull},
	{Name: "gadget-bare", Format: formatGadget, Object: "program.o", write: gadgetBare},
	{Name: "gadget-first", Format: formatGadget, Object: "program.o", write: gadgetFirst},
	{Name: "bumblebee", Format: formatBumblebee, Object: "program.o", write: bumblebeeNow},
	{Name: "bpfman", Format: formatBpfman, Object: "counter.bpf.o", write: containers(false, "counter.bpf.o", labelsNow)},
	{Name: "bpfman-docker", Format: formatBpfman, Object: "counter.bpf.o", write: containers(true, "./counter.bpf.o", labelsNow, entry{name: "./", folder: true})},
	{Name: "bpfman-attested", Format: formatBpfman, Object: "counter.bpf.o", write: attested},
	{Name: "bpfman-2023", Format: formatBpfmanOld, Object: "counter.bpf.o", write: containers(false, "counter.bpf.o", labels2023)},
	{Name: "bpfman-2022", Format: formatBpfmanOld, Object: "counter.elf", write: containers(true, "counter.elf", labels2022, entry{name: "other.o"})},
	{Name: "oras", Format: formatELF, Object: "counter.bpf.o", write: orasNow},
	{Name: "oras-first", Format: formatELF, Object: "counter.bpf.o", write: orasFirst},
	{Name: "regctl", Format: formatELF, Object: "program.o", write: regctl},
	{Name: "crane-append", Format: formatContainer, Object: "counter.bpf.o", write: containers(true, "counter.bpf.o", nil)},
	{Name: "dockerfile", Format: formatContainer, Object: "counter.bpf.o", write: containers(false, "./counter.bpf.o", nil,
		entry{name: "./", folder: true}, entry{name: "./README", data: []byte("text")})},
}
