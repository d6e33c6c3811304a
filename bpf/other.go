// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !linux

package bpf

import (
	"context"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// Manager runs and stops instances; on this operating system it cannot be
// opened.
type Manager struct{}

// Open answers [ErrNeedsLinux].
func Open(Options) (*Manager, error) { return nil, ErrNeedsLinux }

// Permitted is [ErrNeedsLinux].
func (*Manager) Permitted() error { return ErrNeedsLinux }

// Run answers [ErrNeedsLinux].
func (*Manager) Run(context.Context, *verify.Verified, RunOptions) (*Running, error) {
	return nil, ErrNeedsLinux
}

// Update answers [ErrNeedsLinux].
func (*Manager) Update(context.Context, string, *verify.Verified, UpdateOptions) (*Updated, error) {
	return nil, ErrNeedsLinux
}

// Recheck answers [ErrNeedsLinux].
func (*Manager) Recheck(*verify.Verified, schemas.Instance) error { return ErrNeedsLinux }

// List answers [ErrNeedsLinux].
func (*Manager) List(context.Context) ([]Status, error) { return nil, ErrNeedsLinux }

// Get answers [ErrNeedsLinux].
func (*Manager) Get(context.Context, string) (Status, error) { return Status{}, ErrNeedsLinux }

// Measure answers [ErrNeedsLinux].
func (*Manager) Measure(context.Context, time.Duration) ([]Status, error) {
	return nil, ErrNeedsLinux
}

// Describe answers [ErrNeedsLinux].
func (*Manager) Describe(context.Context, string) (Description, error) {
	return Description{}, ErrNeedsLinux
}

// Examine answers [ErrNeedsLinux].
func (*Manager) Examine(context.Context) ([]Finding, error) { return nil, ErrNeedsLinux }

// Repair answers [ErrNeedsLinux].
func (*Manager) Repair(context.Context) ([]Finding, error) { return nil, ErrNeedsLinux }

// Stop answers [ErrNeedsLinux].
func (*Manager) Stop(context.Context, string) error { return ErrNeedsLinux }

// StopAll answers [ErrNeedsLinux].
func (*Manager) StopAll(context.Context) error { return ErrNeedsLinux }

// Maps answers [ErrNeedsLinux].
func (*Manager) Maps(context.Context, string) ([]schemas.InstanceMap, error) {
	return nil, ErrNeedsLinux
}

// DumpMap answers [ErrNeedsLinux].
func (*Manager) DumpMap(context.Context, string, string, int) (MapDump, error) {
	return MapDump{}, ErrNeedsLinux
}

// HookNames answers the hooks `--attach` takes: none here.
func HookNames() []string { return nil }

// Chain answers [ErrNeedsLinux].
func (*Manager) Chain(context.Context, ChainOptions) (Chains, error) { return Chains{}, ErrNeedsLinux }

// ListAll answers [ErrNeedsLinux].
func (*Manager) ListAll(context.Context, time.Duration) ([]Status, error) { return nil, ErrNeedsLinux }

// Support is [ErrNeedsLinux].
func Support() ([]HookSupport, error) { return nil, ErrNeedsLinux }
