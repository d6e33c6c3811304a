// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"strings"
	"sync"

	"github.com/bpfimg/bpfimg/image"
)

// parseLocation reads an argument that names an image anywhere.
func parseLocation(arg string) (image.Location, error) {
	l, err := image.ParseLocation(arg)
	if err != nil {
		return l, usageError{err}
	}
	return l, nil
}

// oneLocation reads the command's only argument as a location.
func (s *session) oneLocation() (image.Location, error) {
	if s.c.NArg() != 1 {
		return image.Location{}, usagef("%s: want one image, got %d arguments", commandName(s.c), s.c.NArg())
	}
	return parseLocation(s.c.Args().First())
}

// places opens images wherever they are.
func (s *session) places(progress func(image.Event)) (image.Places, error) {
	store, err := s.store()
	if err != nil {
		return image.Places{}, err
	}
	registry, err := s.registry(progress)
	return image.Places{Registry: registry, Store: store}, err
}

// counter counts the manifests a copy moved, and says what it left out.
type counter struct {
	s    *session
	next func(image.Event)

	mu   sync.Mutex
	done int
}

func (s *session) counted(next func(image.Event)) *counter { return &counter{s: s, next: next} }

// event implements the progress function of [image.CopyOptions].
func (c *counter) event(e image.Event) {
	switch {
	case e.State == image.EventSkipped:
		c.s.term.notice("warning: left out: %v", e.Err)
	case e.State == image.EventDone && isManifest(e.Descriptor.MediaType):
		c.mu.Lock()
		c.done++
		c.mu.Unlock()
	}
	c.next(e)
}

func (c *counter) manifests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// isManifest tells manifests from blobs, whose types OCI and docker name so.
func isManifest(mediaType string) bool {
	return strings.Contains(mediaType, ".manifest.") || strings.Contains(mediaType, ".image.index.")
}
