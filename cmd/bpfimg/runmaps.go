// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "VARIABLE=VALUE: another value for a global variable, structs and arrays as JSON (repeatable)"}
}

func maxEntriesFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "map-max-entries", Usage: "MAP=NUMBER: another size for a map (repeatable)"}
}

// mapOptions reads the flags of run on variables and maps.
func (s *session) mapOptions(opts *bpf.RunOptions) error {
	for _, text := range s.c.StringSlice("set") {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usagef("--set %q: want VARIABLE=VALUE, such as sample_rate=100", text)
		}
		opts.Set = append(opts.Set, schemas.VariableSetting{Name: name, Value: value})
	}
	sizes, err := mapPairs(s, "map-max-entries", "flows=65536")
	if err != nil {
		return err
	}
	for name, text := range sizes {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return usagef("--map-max-entries %s=%s: want a number up to 4294967295", name, text)
		}
		if opts.MaxEntries == nil {
			opts.MaxEntries = map[string]uint32{}
		}
		opts.MaxEntries[name] = uint32(n)
	}
	if opts.UseMaps, err = mapPairs(s, "use-map", "flows=/sys/fs/bpf/flows"); err != nil {
		return err
	}
	opts.ShareMaps = s.c.StringSlice("share-maps")
	opts.MapGroup = s.c.String("map-group")
	opts.MapMode, err = mapMode(s.c.String("map-mode"))
	return err
}

// mapPairs parses a repeated MAP=VALUE flag.
func mapPairs(s *session, flag, example string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range s.c.StringSlice(flag) {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return nil, usagef("--%s %q: want MAP=VALUE, such as %s", flag, text, example)
		}
		if _, dup := out[name]; dup {
			return nil, usagef("--%s: map %q is given twice", flag, name)
		}
		out[name] = value
	}
	return out, nil
}

// mapMode reads an octal mode, 0 when none is given.
func mapMode(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(text, 8, 12)
	if err != nil || mode == 0 {
		return 0, usagef("--map-mode %q: want an octal mode, such as 0660", text)
	}
	return fs.FileMode(mode), nil
}

// showMaps prints where the maps a person wrote are pinned.
func showMaps(term *terminal, in schemas.Instance) error {
	for _, m := range in.Maps {
		if strings.Contains(m.Name, ".") { // .rodata and the like
			continue
		}
		shared := ""
		if m.Shared != "" {
			shared = ", shared with " + m.Shared
		}
		if _, err := fmt.Fprintf(term.out, "%s: map %s at %s%s\n", safe(in.Name), safe(m.Name), safe(m.Pin), safe(shared)); err != nil {
			return err
		}
	}
	return nil
}
