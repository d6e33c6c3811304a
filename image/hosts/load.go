// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/schemas/document"
)

// Limits on a settings file: bytes, entries and mirrors of one. The time the YAML
// package takes to look for repeated keys grows with the square of their number;
// this many bytes are a second.
const (
	MaxSettings = 128 << 10
	maxEntries  = 1024
	maxMirrors  = 16
)

// ErrSettings is wrapped by every error about what a settings file says.
var ErrSettings = errors.New("wrong settings")

// Hosts is a settings file that has been read. It is read-only and safe for
// concurrent use.
type Hosts struct {
	// name of the file, for errors.
	name string
	// dir is the folder that files of the settings are relative to.
	dir     string
	entries []entry
	// direct is how hosts are talked to that no entry is about.
	direct *connection
	// certDirs are the certs.d folders, first one first.
	certDirs []string
}

// Options of [New] and [Load].
type Options struct {
	// CertDirs are folders with a folder of certificates a host, in docker's and
	// podman's layout; the first that has one for a host counts. See [CertDirs].
	CertDirs []string
}

// New is without any settings file: every registry is asked itself.
func New(opts Options) *Hosts {
	h := &Hosts{certDirs: opts.CertDirs}
	h.direct = &connection{hosts: h}
	return h
}

// Load reads the settings file at path, of at most [MaxSettings] bytes. Unknown
// keys are an error that names the line. The files it names are read when the
// host they belong to is first talked to.
func Load(path string, opts Options) (*Hosts, error) {
	data, err := limited.ReadFile(path, MaxSettings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	h, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	h.dir, h.certDirs = dir, opts.CertDirs
	return h, nil
}

// Parse reads the content of a settings file; name is used in errors. The files
// it names are relative to the working folder. An empty file says nothing.
func Parse(name string, data []byte) (*Hosts, error) {
	s, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSettings, name, err)
	}
	h := New(Options{})
	h.name = name
	for i, r := range s.Registries {
		if err := h.add(i+1, r); err != nil {
			return nil, fmt.Errorf("%w: %s: entry %d (prefix %q): %w", ErrSettings, name, i+1, r.Prefix, err)
		}
	}
	return h, nil
}

// decode reads at most one YAML document without unknown keys.
func decode(data []byte) (schemas.Settings, error) {
	var s schemas.Settings
	if len(data) > MaxSettings {
		return s, fmt.Errorf("over the limit of %d bytes", MaxSettings)
	}
	if err := document.Decode(data, &s, knownKeys); err != nil {
		return s, err
	}
	if len(s.Registries) > maxEntries {
		return s, fmt.Errorf("%d registries are over the limit of %d", len(s.Registries), maxEntries)
	}
	return s, nil
}

const connectionKeys = "plain-http, ca, ca-only, cert, key, proxy"

// knownKeys lists the keys of each mapping of the settings file for errors.
var knownKeys = map[string]string{
	"Settings":         "registries",
	"RegistrySettings": "prefix, location, blocked, mirrors, " + connectionKeys,
	"MirrorSettings":   "location, digests-only, " + connectionKeys,
}
