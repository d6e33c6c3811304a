// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

// Variant is the objects for one platform of a multi-arch image.
type Variant struct {
	// Platform is "os/arch[/variant]"; "" leaves it to the objects, as
	// [Options].Platform does.
	Platform string
	// Inputs in load order.
	Inputs []Input
}
