// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/internal/joined"
)

// strayDispatchers are the pins of XDP dispatchers that are attached to no
// interface, as they are left when a program is killed that changes who is on one.
func (m *Manager) strayDispatchers(ctx context.Context) []Finding {
	if !dispatcher.Used(dispatcher.Options{}) {
		return nil
	}
	stale, err := m.staleDispatchers(ctx)
	if errors.Is(err, dispatcher.ErrBlind) {
		return nil
	}
	if err != nil {
		return []Finding{{Problem: fmt.Sprintf("XDP dispatchers cannot be looked at: %v", err), Remedy: "see what the error says", Note: true}}
	}
	var out []Finding
	for _, folder := range stale {
		out = append(out, Finding{
			Problem: fmt.Sprintf("there are pins of an XDP dispatcher that is attached nowhere: %s", folder),
			Remedy:  "remove them", Fixable: true, fix: m.removeStaleDispatchers,
		})
	}
	return out
}

func (m *Manager) staleDispatchers(ctx context.Context) (stale []string, err error) {
	d, err := m.dispatchers(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	return d.FindStale(ctx)
}

func (m *Manager) removeStaleDispatchers(ctx context.Context) (err error) {
	d, err := m.dispatchers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	_, err = d.Stale(ctx)
	return err
}
