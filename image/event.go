// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import ocispec "github.com/opencontainers/image-spec/specs-go/v1"

// EventState says how far the transfer of one blob or manifest is.
type EventState string

// The states of a transfer.
const (
	// EventTransfer: Done of Total bytes went over the wire. A retry starts
	// again at a lower Done.
	EventTransfer EventState = "transfer"
	// EventDone: all Total bytes are there and were checked.
	EventDone EventState = "done"
	// EventExists: the other side had it already, nothing was transferred; also
	// when the registry took it over from another repository itself.
	EventExists EventState = "exists"
	// EventSkipped: a referrer could not be read at its source and was left out.
	EventSkipped EventState = "skipped"
)

// Event is progress of one blob or manifest, for a progress bar. Events of
// several transfers come interleaved and from several goroutines.
type Event struct {
	// Descriptor names what is transferred.
	Descriptor ocispec.Descriptor
	// Done and Total are bytes; Total is Descriptor.Size.
	Done, Total int64
	State       EventState
	// Err says why, with EventSkipped.
	Err error
}

// reporter is a possibly nil progress function.
type reporter func(Event)

func (r reporter) report(desc ocispec.Descriptor, done int64, state EventState) {
	if r != nil {
		r(Event{Descriptor: desc, Done: done, Total: desc.Size, State: state})
	}
}
