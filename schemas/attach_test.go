// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestAttachmentLists reads and writes the option that is a list.
func TestAttachmentLists(t *testing.T) {
	a, err := schemas.ParseAttachment("p=xdp:eth0,proceed-on=pass,drop,priority=20")
	if err != nil {
		t.Fatal(err)
	}
	if a.Options[schemas.OptionProceedOn] != "pass,drop" || a.Options["priority"] != "20" {
		t.Errorf("options: %q", a.Options)
	}
	const want = "p=xdp:eth0,priority=20,proceed-on=pass,drop"
	if got := a.String(); got != want {
		t.Errorf("String: %s, want %s", got, want)
	}
	if again, err := schemas.ParseAttachment(want); err != nil || again.String() != want {
		t.Errorf("read back: %s, %v", again, err)
	}
}
