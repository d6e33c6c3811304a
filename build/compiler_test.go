// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestCompilerLabel: only a build that compiled says with what, and nobody else
// may.
func TestCompilerLabel(t *testing.T) {
	t.Parallel()
	ours, annotations, err := allLabels(schemas.Description{Objects: []schemas.Object{{File: "a.o"}}}, time.Unix(0, 0), Options{Compiler: "clang version 1"})
	if err != nil || ours[schemas.LabelCompiler] != "clang version 1" || annotations[schemas.LabelCompiler] != "clang version 1" {
		t.Errorf("labels %v, annotations %v, error %v", ours, annotations, err)
	}
	ours, _, err = allLabels(schemas.Description{Objects: []schemas.Object{{File: "a.o"}}}, time.Unix(0, 0), Options{})
	if _, there := ours[schemas.LabelCompiler]; there || err != nil {
		t.Errorf("labels %v, error %v", ours, err)
	}
	if checkLabel("label", schemas.LabelCompiler, "x") == nil {
		t.Error("anybody may claim a compiler")
	}
}
