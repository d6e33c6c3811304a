// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// machineSettings is the settings file of the machine.
const machineSettings = "/etc/bpfimg/config.yaml"

// hosts reads the settings: the file that --config or BPFIMG_CONFIG names, which
// must be there, or else the first that is there of the person's and the machine's.
// Root uses the machine's alone, as its runs must not depend on who became root.
func (s *session) hosts() (*hosts.Hosts, error) {
	opts := hosts.Options{CertDirs: hosts.CertDirs(s.home())}
	if path := s.settingsNamed(); path != "" {
		return hosts.Load(path, opts)
	}
	for _, path := range s.settingsFiles() {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading the settings: %w", err)
		}
		return hosts.Load(path, opts)
	}
	return hosts.New(opts), nil
}

// settingsNamed is --config of bpfimg itself: `manifest` has a flag of that name, too,
// whose value is no path.
func (s *session) settingsNamed() string {
	for _, c := range s.c.Lineage() {
		if path, ok := c.Value("config").(string); ok {
			return path
		}
	}
	return ""
}

func (s *session) settingsFiles() []string {
	if os.Geteuid() == 0 {
		return []string{machineSettings}
	}
	if dir, _ := s.term.lookup("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return []string{filepath.Join(dir, "bpfimg", "config.yaml"), machineSettings}
	}
	if home := s.home(); home != "" {
		return []string{filepath.Join(home, ".config", "bpfimg", "config.yaml"), machineSettings}
	}
	return []string{machineSettings}
}

// home is the person's folder; "" when there is none.
func (s *session) home() string {
	if home, _ := s.term.lookup("HOME"); home != "" {
		return home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}
