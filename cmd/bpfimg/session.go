// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

// session is what most commands work with: the state folder, the local store
// and a registry client. It opens nothing before it is used.
type session struct {
	term *terminal
	root string
	log  *slog.Logger
	c    *cli.Context
}

func newSession(c *cli.Context, term *terminal) (*session, error) {
	root, err := stateRoot(c, term.lookup)
	if err != nil {
		return nil, err
	}
	return &session{term: term, root: root, log: term.logger(c.Bool("debug")), c: c}, nil
}

// store opens the local image store.
func (s *session) store() (*image.Store, error) {
	return image.OpenStore(filepath.Join(s.root, "store"))
}

// registry makes a client for any registry.
func (s *session) registry(progress func(image.Event)) (*image.Registry, error) {
	return image.NewRegistry(image.RegistryOptions{
		PlainHTTP: s.c.Bool("plain-http"),
		UserAgent: "bpfimg/" + buildVersion().Version,
		Progress:  progress,
	})
}

// manager opens what talks to the kernel.
func (s *session) manager() (*bpf.Manager, error) {
	return bpf.Open(bpf.Options{BPFFS: s.c.String("bpffs"), State: s.root, Log: s.log})
}

// deadline bounds everything a command waits for from the network.
func (s *session) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.c.Context, s.c.Duration("timeout"))
}
