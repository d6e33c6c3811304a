// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"fmt"
	"strings"
)

// Errors a caller decides on; test with [errors.Is].
var (
	// ErrBadImage: the image breaks the rules of its own format or goes over a
	// limit. Whoever made it must make it anew.
	ErrBadImage = errors.New("bad image")
	// ErrUnknownFormat: this is an image, but none of the kinds that hold
	// bytecode.
	ErrUnknownFormat = errors.New("not a bytecode image")
	// ErrNewer: the image was made for a newer bpfimg.
	ErrNewer = errors.New("a newer bpfimg is needed")
)

// bad makes an [ErrBadImage].
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBadImage, fmt.Errorf(format, args...))
}

// PlatformError says that an index has no image for the platform.
type PlatformError struct {
	// Want is the platform asked for, Have those that are there, in the index's
	// order; both as "os/arch[/variant]".
	Want string
	Have []string
}

// maxHave bounds how many platforms the error lists.
const maxHave = 16

// Error is one sentence that lists what there is.
func (e *PlatformError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("there is no image for %s, and none for any other platform", e.Want)
	}
	var list strings.Builder
	for i, p := range e.Have {
		if i == maxHave {
			fmt.Fprintf(&list, " and %d more", len(e.Have)-i)
			break
		}
		if i > 0 {
			list.WriteString(", ")
		}
		fmt.Fprintf(&list, "%q", p)
	}
	return fmt.Sprintf("there is no image for %s, only for %s: choose one with --platform", e.Want, list.String())
}
