// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package lazyregexp_test

import (
	"testing"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

func TestNew(t *testing.T) {
	digits := lazyregexp.New(`^\d+$`)
	if !digits().MatchString("12") || digits().MatchString("1a") {
		t.Error("the expression is another")
	}
	if first, second := digits(), digits(); first != second {
		t.Error("compiled twice")
	}
}

func TestWrong(t *testing.T) {
	wrong := lazyregexp.New(`(`) // and no panic yet
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression does not panic")
		}
	}()
	wrong()
}
