// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxCertFiles bounds how many files of one folder are looked at.
const maxCertFiles = 64

// CertDirs are the certs.d folders in the order of containers-certs.d(5):
// podman's of the user (home, "" for nobody's), podman's and docker's of the
// machine. In the first that has a folder HOST[:PORT], *.crt are certificates to
// trust, and each *.cert is a client certificate with its key in *.key.
func CertDirs(home string) []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if home != "" {
		dirs = slices.Insert(dirs, 0, filepath.Join(home, ".config", "containers", "certs.d"))
	}
	return dirs
}

// findCerts looks for the folder of host, which is a checked host[:port].
func findCerts(dirs []string, host string) (files, error) {
	for _, dir := range dirs {
		at := filepath.Join(dir, host)
		f, err := readCertDir(at)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, fmt.Errorf("certificates of registry %s in %s: %w", host, at, err)
		}
		return f, nil
	}
	return files{}, nil
}

func readCertDir(dir string) (files, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files{}, err
	}
	if len(entries) > maxCertFiles {
		return files{}, fmt.Errorf("%d files are over the limit of %d", len(entries), maxCertFiles)
	}
	var f files
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name })
	}
	for _, e := range entries {
		name := e.Name()
		base := strings.TrimSuffix(name, filepath.Ext(name))
		switch filepath.Ext(name) {
		case ".crt":
			f.roots = append(f.roots, filepath.Join(dir, name))
		case ".cert":
			if !has(base + ".key") {
				return files{}, fmt.Errorf("%s has no %s.key beside it", name, base)
			}
			f.pairs = append(f.pairs, [2]string{filepath.Join(dir, name), filepath.Join(dir, base+".key")})
		case ".key":
			if !has(base + ".cert") {
				return files{}, fmt.Errorf("%s has no %s.cert beside it (a certificate to trust is named *.crt, a client's *.cert)", name, base)
			}
		}
	}
	return f, nil
}
