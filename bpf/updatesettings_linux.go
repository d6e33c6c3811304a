// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

// updateVariables are the values of variables for the new version: those given
// now, and those given before for variables that the new image still has.
func updateVariables(desc schemas.Description, old *schemas.Instance, given []schemas.VariableSetting) []schemas.VariableSetting {
	has := map[string]bool{}
	for _, o := range desc.Objects {
		for _, v := range o.Variables {
			has[v.Name] = true
		}
	}
	out := slices.Clone(given)
	for _, s := range old.Variables {
		again := slices.ContainsFunc(given, func(g schemas.VariableSetting) bool { return g.Name == s.Name })
		if has[bareName(s.Name)] && !again {
			out = append(out, s)
		}
	}
	return out
}

// updateSizes are the sizes of maps for the new version, as updateVariables.
func updateSizes(desc schemas.Description, old *schemas.Instance, given map[string]uint32) map[string]uint32 {
	out := map[string]uint32{}
	for _, o := range desc.Objects {
		for _, m := range o.Maps {
			for name, size := range old.MaxEntries {
				if bareName(name) == m.Name {
					out[name] = size
				}
			}
		}
	}
	maps.Copy(out, given)
	return out
}

// bareName is NAME of FILE/NAME.
func bareName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// sameAccess is who may open the maps of an instance, from its record.
func sameAccess(old *schemas.Instance) (mapAccess, error) {
	if old.MapMode == "" {
		return mapAccess{gid: -1}, nil
	}
	mode, err := strconv.ParseUint(old.MapMode, 8, 12)
	if err != nil {
		return mapAccess{}, fmt.Errorf("the record of instance %q has a map mode %q: %w", old.Name, old.MapMode, err)
	}
	return newMapAccess(RunOptions{MapMode: fs.FileMode(mode), MapGroup: old.MapGroup})
}
