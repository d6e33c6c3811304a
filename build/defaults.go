// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// applyDefaults writes the build file's attach defaults into the programs they
// name. What the file says wins over the section, option by option.
func applyDefaults(objects []schemas.Object, defaults map[string]schemas.ProgramDefaults) error {
	programs := map[string]*schemas.Program{}
	for i := range objects {
		for j := range objects[i].Programs {
			p := &objects[i].Programs[j]
			programs[p.Name] = p
		}
	}
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		p, ok := programs[name]
		if !ok {
			return fmt.Errorf("%w: the build file names program %q; the objects have: %s", ErrOptions, name,
				list(slices.Sorted(maps.Keys(programs))))
		}
		if err := applyDefault(p, defaults[name].Attach); err != nil {
			return fmt.Errorf("%w: attach default of program %q: %w", ErrOptions, name, err)
		}
	}
	return nil
}

func applyDefault(p *schemas.Program, attach string) error {
	a, err := schemas.ParseHook(attach)
	if err != nil {
		return err
	}
	if err := checkHook(*p, a); err != nil {
		return err
	}
	if a.Hook != p.Hook {
		// What the section says of another hook's target and options does not
		// carry over.
		p.Hook, p.Target, p.Options = a.Hook, "", nil
	}
	if a.Target != "" {
		p.Target = a.Target
	}
	if len(a.Options) > 0 {
		options := maps.Clone(p.Options)
		if options == nil {
			options = map[string]string{}
		}
		maps.Copy(options, a.Options)
		p.Options = options
	}
	return nil
}

// checkHook refuses a hook that does not exist, or that programs of this type do
// not go to, and options it does not take.
func checkHook(p schemas.Program, a schemas.Attachment) error {
	var possible []string
	for _, h := range inspect.Hooks() {
		if !slices.Contains(h.Programs, p.Type) {
			continue
		}
		if h.Name == a.Hook {
			return checkOptions(h, a.Options)
		}
		possible = append(possible, h.Name)
	}
	return fmt.Errorf("a program of type %s does not go to hook %q; hooks for it: %s", p.Type, a.Hook, list(possible))
}

func checkOptions(h inspect.HookInfo, options map[string]string) error {
	var known []string
	for _, o := range h.Options {
		known = append(known, o.Name)
		value, given := options[o.Name]
		if given && len(o.Values) > 0 && !slices.Contains(o.Values, value) {
			return fmt.Errorf("option %s of hook %s cannot be %q; it can be: %s", o.Name, h.Name, value, list(o.Values))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("hook %s has no option %q; options it takes: %s", h.Name, name, list(known))
		}
	}
	return nil
}

// list names things in a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
