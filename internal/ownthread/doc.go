// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package ownthread runs what changes the thread it runs on, such as by entering a
// namespace.
package ownthread
