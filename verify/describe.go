// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"maps"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// maxWarnings bounds what an image can make a person read.
const maxWarnings = 16

// describe fills in v.desc: what the objects themselves say, and from the claimed
// Description the name, the version and attach defaults.
func describe(v *Verified) (*Verified, error) {
	v.desc = schemas.Description{SchemaVersion: schemas.DescriptionVersion}
	for _, o := range v.img.Objects {
		object, err := inspect.Object(o.File, o.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s@%s: object %q: %w", v.Reference().Name(), v.Digest(), o.File, err)
		}
		v.desc.Objects = append(v.desc.Objects, object)
	}
	v.desc.Version = claimedVersion(v.img)
	if claimed := v.img.Described; claimed != nil {
		v.desc.Name = claimed.Name
		for _, o := range claimed.Objects {
			v.takeDefaults(o)
		}
	}
	return v, nil
}

// takeDefaults carries the attach defaults of a claimed object over to the real
// one of the same name and content.
func (v *Verified) takeDefaults(claimed schemas.Object) {
	for i := range v.desc.Objects {
		real := &v.desc.Objects[i]
		if real.File != claimed.File {
			continue
		}
		if real.Digest != claimed.Digest {
			v.warn("the Description is of another content of object %q: ignored", claimed.File)
			return
		}
		for _, program := range claimed.Programs {
			v.takeDefault(real, program)
		}
		return
	}
	v.warn("the Description names an object %q that is not in the image: ignored", claimed.File)
}

// takeDefault does so for one program, unless the Description lies about it: a claim
// that is wrong where it can be checked is not believed where it cannot.
func (v *Verified) takeDefault(object *schemas.Object, claimed schemas.Program) {
	for i := range object.Programs {
		real := &object.Programs[i]
		if real.Name != claimed.Name {
			continue
		}
		if real.Type != claimed.Type || real.Section != claimed.Section {
			v.warn("the Description says program %q is a %q in section %q, it is a %q in section %q: ignored",
				claimed.Name, claimed.Type, claimed.Section, real.Type, real.Section)
			return
		}
		if claimed.Hook != "" {
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
	v.warn("the Description names a program %q that object %q does not have: ignored", claimed.Name, object.File)
}

// warn adds a warning, up to [maxWarnings].
func (v *Verified) warn(format string, args ...any) {
	switch n := len(v.warnings); {
	case n < maxWarnings:
		v.warnings = append(v.warnings, clip(fmt.Sprintf(format, args...)))
	case n == maxWarnings:
		v.warnings = append(v.warnings, "the Description is wrong in more places")
	}
}
