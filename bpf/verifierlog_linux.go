// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// saveLog saves the whole verifier log in err, if there is one, below the state
// folder and notes where. Saving is a courtesy: if it fails, err stays what it
// is and the reason is logged.
func (m *Manager) saveLog(instance string, err error) error {
	var refused *KernelError
	if !errors.As(err, &refused) || refused.Log == "" {
		return err
	}
	program := strings.Trim(strings.TrimPrefix(refused.Op, "loading program "), `"`)
	path := filepath.Join(m.state, "logs", fmt.Sprintf("%s-%s.log", instance, pinName(program)))
	saveErr := os.MkdirAll(filepath.Dir(path), 0o700)
	if saveErr == nil {
		saveErr = replaceFile(path, []byte(refused.Log))
	}
	if saveErr != nil {
		m.log.Warn("the verifier log could not be saved", "error", saveErr)
		return err
	}
	refused.LogFile = path
	return err
}
