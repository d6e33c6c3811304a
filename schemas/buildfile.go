// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// BuildFile is the content of bpfimg.yaml (`bpfimg build -f`). Unknown keys
// are an error that names the line.
type BuildFile struct {
	// Name and Version of the image; the standard title and version
	// annotations.
	Name    string `yaml:"name" json:"name,omitempty"`
	Version string `yaml:"version" json:"version,omitempty"`
	// Description, Source (URL), Revision and Licenses (SPDX expression) become
	// the standard org.opencontainers.image.* annotations.
	Description string `yaml:"description" json:"description,omitempty"`
	Source      string `yaml:"source" json:"source,omitempty"`
	Revision    string `yaml:"revision" json:"revision,omitempty"`
	Licenses    string `yaml:"licenses" json:"licenses,omitempty"`
	// Labels and Annotations are added as they are; keys of ours are refused.
	Labels      map[string]string `yaml:"labels" json:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations" json:"annotations,omitempty"`
	// Programs holds attach defaults by program name.
	Programs map[string]ProgramDefaults `yaml:"programs" json:"programs,omitempty"`
	// Compile is how sources become objects; not looked at when objects are
	// given.
	Compile *Compile `yaml:"compile" json:"compile,omitempty"`
}

// Compile is how `bpfimg build FOLDER` runs clang. Paths are relative to the
// folder and stay below it.
type Compile struct {
	// Sources are the C files; default: every *.bpf.c of the folder.
	Sources []string `yaml:"sources" json:"sources,omitempty"`
	// Include are folders to search for headers (-I).
	Include []string `yaml:"include" json:"include,omitempty"`
	// Defines are macros, NAME or NAME=VALUE (-D).
	Defines []string `yaml:"defines" json:"defines,omitempty"`
	// CPU is the version of the BPF instruction set, v1 to v4 (-mcpu=); default:
	// what the compiler takes.
	CPU string `yaml:"cpu" json:"cpu,omitempty"`
	// Flags are further ones, of the forms -UNAME, -WNAME, -O0 to -O3, -Os, -Oz
	// and -std=NAME.
	Flags []string `yaml:"flags" json:"flags,omitempty"`
}

// ProgramDefaults is where one program goes unless `run --attach` says
// otherwise.
type ProgramDefaults struct {
	// Attach is HOOK[:TARGET][,option=value…], the right side of `--attach`;
	// required.
	Attach string `yaml:"attach" json:"attach"`
}
