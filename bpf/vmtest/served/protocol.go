// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

// request is what a server reads.
type request struct {
	// ID of the command.
	ID int `json:"id"`
	// Args start it: the command line, the program's name first.
	Args []string `json:"args,omitempty"`
	// Interrupt interrupts it, if it still runs.
	Interrupt bool `json:"interrupt,omitempty"`
}

// answer is what a server writes.
type answer struct {
	// ID of the command.
	ID int `json:"id"`
	// Stdout and Stderr are what it has printed since the last answer.
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	// Exit is its exit code, in the last answer.
	Exit *int `json:"exit,omitempty"`
	// Left are files that it, or one that ran at the same time, has left open. It comes
	// with Exit.
	Left []string `json:"left,omitempty"`
}
