// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"maps"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// maxWarnings bounds what an image can make a person read.
const maxWarnings = 16

// describe fills in v.desc and the warnings about it.
func describe(v *Verified) (*Verified, error) {
	var err error
	if v.desc, v.warnings, err = Describe(v.img); err != nil {
		return nil, fmt.Errorf("%s@%s: %w", v.Reference().Name(), v.Digest(), err)
	}
	return v, nil
}

// Describe says what a node makes of an image, be it verified or not: what the
// objects themselves say, and from the claimed Description the name, the version
// and attach defaults. warnings are about claims that do not fit the objects and
// were ignored. The error is that of [inspect.Object].
func Describe(img *pull.Image) (desc schemas.Description, warnings []string, err error) {
	d := described{desc: schemas.Description{SchemaVersion: schemas.DescriptionVersion}}
	for _, o := range img.Objects {
		object, err := inspect.Object(o.File, o.Bytes)
		if err != nil {
			return schemas.Description{}, nil, err // names the object
		}
		d.desc.Objects = append(d.desc.Objects, object)
	}
	d.desc.Version = claimedVersion(img)
	if claimed := img.Described; claimed != nil {
		d.desc.Name = claimed.Name
		for _, o := range claimed.Objects {
			d.takeDefaults(o)
		}
	}
	return d.desc, d.warnings, nil
}

// described is the Description in the making.
type described struct {
	desc     schemas.Description
	warnings []string
}

// takeDefaults carries the attach defaults of a claimed object over to the real
// one of the same name and content.
func (d *described) takeDefaults(claimed schemas.Object) {
	for i := range d.desc.Objects {
		real := &d.desc.Objects[i]
		if real.File != claimed.File {
			continue
		}
		if real.Digest != claimed.Digest {
			d.warn("the Description is of another content of object %q: ignored", claimed.File)
			return
		}
		for _, program := range claimed.Programs {
			d.takeDefault(real, program)
		}
		return
	}
	d.warn("the Description names an object %q that is not in the image: ignored", claimed.File)
}

// takeDefault does so for one program, unless the Description lies about it: a claim
// that is wrong where it can be checked is not believed where it cannot.
func (d *described) takeDefault(object *schemas.Object, claimed schemas.Program) {
	for i := range object.Programs {
		real := &object.Programs[i]
		if real.Name != claimed.Name {
			continue
		}
		if real.Type != claimed.Type || real.Section != claimed.Section {
			d.warn("the Description says program %q is a %q in section %q, it is a %q in section %q: ignored",
				claimed.Name, claimed.Type, claimed.Section, real.Type, real.Section)
			return
		}
		if claimed.Hook != "" {
			if claimed.Hook != real.Hook {
				real.Options = nil // the section's are those of another hook
			}
			real.Hook, real.Target = claimed.Hook, claimed.Target
		}
		if len(claimed.Options) > 0 {
			options := maps.Clone(real.Options)
			if options == nil {
				options = make(map[string]string, len(claimed.Options))
			}
			maps.Copy(options, claimed.Options)
			real.Options = options
		}
		return
	}
	d.warn("the Description names a program %q that object %q does not have: ignored", claimed.Name, object.File)
}

// warn adds a warning, up to [maxWarnings].
func (d *described) warn(format string, args ...any) {
	switch n := len(d.warnings); {
	case n < maxWarnings:
		d.warnings = append(d.warnings, clip(fmt.Sprintf(format, args...)))
	case n == maxWarnings:
		d.warnings = append(d.warnings, "the Description is wrong in more places")
	}
}
