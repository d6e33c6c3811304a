// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !linux

package served

// openFiles lists none: only Linux is served.
func openFiles() (files, error) { return nil, nil }

func shutConnections(files) {}
