// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

// bumblebee is what solo.io's bee writes, by its "eBPF Image specifications" and
// its pkg/spec. The config is JSON that says nothing; the manifest has no
// mediaType, which the OCI image specification allows.
var bumblebee = partsFormat{
	config:  "application/ebpf.oci.image.config.v1+json",
	program: "application/ebpf.oci.image.program.v1+binary",
}
