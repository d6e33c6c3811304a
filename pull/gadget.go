// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

// mediaTypeGadgetBTF is a tar of BTF files, in the folders of btfhub-archive.
const mediaTypeGadgetBTF = "application/vnd.gadget.btfgen.v1+binary"

// gadget is what Inspektor Gadget writes, by its reference page "Gadgets as OCI
// artifacts" and its pkg/oci. Its metadata, the config, is not read: it is YAML
// about what that tool shows, and nothing that is loaded depends on it.
//
// Gadgets of 2023 have no artifactType; those without metadata have an empty
// config.
var gadget = partsFormat{
	artifactType: "application/vnd.gadget.v1+binary",
	config:       "application/vnd.gadget.config.v1+yaml",
	program:      "application/vnd.gadget.ebpf.program.v1+binary",
	unused: map[string]string{
		"application/vnd.gadget.wasm.program.v1+binary": "its WebAssembly part is not run",
		mediaTypeGadgetBTF: "its BTF files, for kernels without BTF of their own, are not used",
	},
}

// gadgetExtras fills in what a gadget has beside its object.
func gadgetExtras(c contents, img *Image) {
	img.Notes = gadget.notes(c)
	if i, ok := c.layerOf(mediaTypeGadgetBTF); ok {
		img.GadgetBTF = c.layers[i]
	}
}
