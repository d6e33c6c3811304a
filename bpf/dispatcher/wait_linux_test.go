// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import "testing"

// TestWaitByMap: what waits where membarrier(2) is refused works.
func TestWaitByMap(t *testing.T) {
	needRoot(t)
	check(t, waitByMap())
}
