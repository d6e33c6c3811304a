// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of pins and functions, all of the protocol.
const (
	mainFunction = "xdp_dispatcher"
	stubPrefix   = "prog"
	folderPrefix = "dispatch-"
)

// folderName is the name of the folder with the pins of the dispatcher id on the
// interface ifindex.
func folderName(ifindex int, id uint32) string {
	return fmt.Sprintf("%s%d-%d", folderPrefix, ifindex, id)
}

// parseFolder reads a name as folderName writes it; ok is false for any other.
func parseFolder(name string) (ifindex int, id uint32, ok bool) {
	rest, found := strings.CutPrefix(name, folderPrefix)
	first, second, both := strings.Cut(rest, "-")
	i, err := strconv.ParseUint(first, 10, 31)
	d, err2 := strconv.ParseUint(second, 10, 32)
	if !found || !both || err != nil || err2 != nil || folderName(int(i), uint32(d)) != name {
		return 0, 0, false
	}
	return int(i), uint32(d), true
}

// stubName is the function that the component in a slot replaces.
func stubName(slot int) string { return stubPrefix + strconv.Itoa(slot) }

// linkFunction is the function that the component in a slot is linked to. A
// component that is alone takes the place of the whole dispatcher, as it does for
// libxdp: a packet then costs nothing more than without one.
func linkFunction(slot, of int) string {
	if of == 1 {
		return mainFunction
	}
	return stubName(slot)
}

// parseFunction is the slot of the function a component is linked to.
func parseFunction(name string) (slot int, ok bool) {
	if name == mainFunction {
		return 0, true
	}
	for slot := range Slots {
		if name == stubName(slot) {
			return slot, true
		}
	}
	return 0, false
}

// progPin and linkPin are the names of a component's pins in the folder.
func progPin(slot int) string { return stubName(slot) + "-prog" }
func linkPin(slot int) string { return stubName(slot) + "-link" }
