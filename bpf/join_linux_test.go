// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "github.com/bpfimg/bpfimg/internal/joined"

// join is for tests, which close a lot.
var join = joined.Errors
