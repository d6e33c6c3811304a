// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoKernel: fetch-kernels.sh has not put that kernel into the folder.
var ErrNoKernel = errors.New("kernel not fetched")

// Kernel is a kernel image and the modules tests need, as fetch-kernels.sh
// leaves them.
type Kernel struct {
	// Version is what was asked for ("6.12").
	Version string
	// Image is the path of the bzImage, Modules those of the modules in load
	// order.
	Image   string
	Modules []string
}

// KernelDir is the folder fetch-kernels.sh fills when it is given none.
func KernelDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the kernel folder: %w", err)
	}
	return filepath.Join(cache, "bpfimg", "kernels"), nil
}

// OpenKernel finds a version in a folder. The error wraps [ErrNoKernel] when it
// is not there.
func OpenKernel(dir, version string) (Kernel, error) {
	root := filepath.Join(dir, version)
	k := Kernel{Version: version, Image: filepath.Join(root, "vmlinuz")}
	order, err := os.ReadFile(filepath.Join(root, "modules.load"))
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("%w: %s is not in %s; run fetch-kernels.sh %s", ErrNoKernel, version, dir, version)
	}
	if err != nil {
		return k, fmt.Errorf("opening kernel %s: %w", version, err)
	}
	for _, name := range strings.Fields(string(order)) {
		k.Modules = append(k.Modules, filepath.Join(root, "modules", name))
	}
	return k, nil
}
