// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/image/logins"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
)

// session is what most commands work with: the state folder, the local store
// and a registry client. It opens nothing before it is used.
type session struct {
	term *terminal
	c    *cli.Context
	root string
	log  *slog.Logger
	// json says that results are printed as JSON.
	json bool
}

// withSession wraps what a command does in what all of them do first.
func withSession(term *terminal, do func(*session) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		root, err := stateRoot(c, term.lookup)
		if err != nil {
			return err
		}
		asJSON, err := wantJSON(c)
		if err != nil {
			return err
		}
		return do(&session{term: term, c: c, root: root, log: term.logger(c.Bool("debug")), json: asJSON})
	}
}

// withImage is withSession for commands whose only argument is a reference.
func withImage(term *terminal, do func(*session, image.Reference) error) cli.ActionFunc {
	return withSession(term, func(s *session) error {
		ref, err := oneReference(s.c)
		if err != nil {
			return err
		}
		return do(s, ref)
	})
}

// withStore is withSession for commands on the local store alone.
func withStore(term *terminal, do func(*session, *image.Store) error) cli.ActionFunc {
	return withSession(term, func(s *session) error {
		store, err := s.store()
		if err != nil {
			return err
		}
		return do(s, store)
	})
}

// withManager is withSession for commands on running instances.
func withManager(term *terminal, do func(*session, *bpf.Manager) error) cli.ActionFunc {
	return withSession(term, func(s *session) error {
		manager, err := s.manager()
		if err != nil {
			return err
		}
		return do(s, manager)
	})
}

// print shows a result: v as JSON, or what text prints.
func (s *session) print(v any, text func() error) error {
	if s.json {
		return s.term.json(v)
	}
	return text()
}

// printLine is print for results of one line.
func (s *session) printLine(v any, line string) error {
	return s.print(v, func() error {
		_, err := fmt.Fprintln(s.term.out, safe(line))
		return err
	})
}

// imageResult is what commands print that end with an image in some place.
type imageResult struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	// Signature is the digest of the manifest that holds the new signature.
	Signature string `json:"signature,omitempty"`
}

// namedImage is an image as JSON and as a line of text.
func namedImage(ref image.Reference, digest string) (imageResult, string) {
	return imageResult{Reference: ref.String(), Digest: digest}, ref.Name() + "@" + digest
}

// store opens the local image store.
func (s *session) store() (*image.Store, error) {
	return image.OpenStore(filepath.Join(s.root, "store"))
}

// verdicts remembers who has signed what, beside the store.
func (s *session) verdicts() verify.Verdicts {
	v := buildVersion()
	return verify.NewVerdicts(filepath.Join(s.root, "verdicts"), v.Version+" "+v.Revision)
}

// registry makes a client for any registry, which may read from mirrors.
func (s *session) registry(progress func(image.Event)) (*image.Registry, error) {
	settings, err := s.hosts()
	if err != nil {
		return nil, err
	}
	return image.NewRegistry(image.RegistryOptions{
		Keychain:  logins.New(s.term.lookup),
		PlainHTTP: s.c.Bool("plain-http"),
		UserAgent: "bpfimg/" + buildVersion().Version,
		Hosts:     settings,
		Log:       s.log,
		Progress:  progress,
	})
}

// shared reads from the registry what no other process is reading into the same
// store, and waits for what one is.
func (s *session) shared(store *image.Store, registry image.Source) image.Shared {
	var once sync.Once
	return store.Share(registry, image.ShareOptions{Waiting: func(ref image.Reference, d digest.Digest) {
		once.Do(func() {
			s.term.notice("waiting for another process that is downloading %s", ref.WithDigest(d.String()))
		})
	}})
}

// origin is registry for commands that change what is there: a mirror's answer may
// be an old one.
func (s *session) origin(progress func(image.Event)) (*image.Registry, error) {
	registry, err := s.registry(progress)
	if err != nil {
		return nil, err
	}
	return registry.WithoutMirrors(), nil
}

// manager opens what talks to the kernel.
func (s *session) manager() (*bpf.Manager, error) {
	return bpf.Open(bpf.Options{BPFFS: s.c.String("bpffs"), State: s.root, Log: s.log})
}

// deadline bounds everything a command waits for from the network.
func (s *session) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.c.Context, s.c.Duration("timeout"))
}
