// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "github.com/bpfimg/bpfimg/schemas"

// UpdateOptions of [Manager.Update].
type UpdateOptions struct {
	// Attach overrides where programs go, as in [RunOptions]. Programs without an
	// entry stay where the person had put them; else the new image's defaults
	// count, with the options in effect now.
	Attach []schemas.Attachment
	// Set and MaxEntries override what was set when the instance was run, which
	// counts on for every variable and map that the new image still has.
	Set        []schemas.VariableSetting
	MaxEntries map[string]uint32
	// FreshMaps makes every map anew. Default: maps whose definition is unchanged
	// are kept, with their content.
	FreshMaps bool
	// KernelBTF as in [RunOptions]. It is not remembered.
	KernelBTF []byte
	// AllowDowngrade takes an image of a lower version than what runs, or one that
	// says of itself nothing that could be compared.
	AllowDowngrade bool
	// Force loads an image that runs already, with the same settings, once more.
	// Default: nothing is changed.
	Force bool
}

// Updated says what [Manager.Update] has done.
type Updated struct {
	// Instance is the record of what runs now.
	Instance schemas.Instance `json:"instance"`
	// Unchanged says that this image with these settings ran already, and was left
	// alone: both lists are empty.
	Unchanged bool `json:"unchanged,omitempty"`
	// Attachments in the order of Instance.Links, and then those that are gone;
	// Maps in the order of Instance.Maps, and then those that are gone.
	Attachments []AttachmentChange `json:"attachments"`
	Maps        []MapChange        `json:"maps"`
}

// Values of [AttachmentChange.Change] and [MapChange.Change].
const (
	// ChangeSwapped: the kernel exchanged the program in one step; no event passed
	// both versions by, and none was seen by both.
	ChangeSwapped = "swapped"
	// ChangeReattached: the new program was attached beside the old one, which
	// was detached then; in between both saw every event.
	ChangeReattached = "reattached"
	// ChangeKept: a map of the old version that the new one uses, with its content.
	ChangeKept = "kept"
	// ChangeReplaced: a map with the content that the new version gives it.
	ChangeReplaced = "replaced"
	// ChangeAdded and ChangeRemoved: only the new, only the old version has it.
	ChangeAdded   = "added"
	ChangeRemoved = "removed"
)

// AttachmentChange is what became of one program's attachment.
type AttachmentChange struct {
	// Program and Place, the latter as `--attach` spells it.
	Program string `json:"program"`
	Place   string `json:"place"`
	Change  string `json:"change"`
	// Why is a sentence, "" where Change says everything.
	Why string `json:"why,omitempty"`
}

// MapChange is what became of one map.
type MapChange struct {
	Map    string `json:"map"`
	Change string `json:"change"`
	// Why is a sentence, "" where Change says everything.
	Why string `json:"why,omitempty"`
}
