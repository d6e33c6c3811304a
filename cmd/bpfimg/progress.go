// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"sync"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	"github.com/schollz/progressbar/v3"
)

// progress shows transferred bytes: a bar on a terminal, nothing off it (the
// result line says it all in a log).
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil off a terminal
	parts map[digest.Digest]image.Event
}

func (t *terminal) progress(title string) *progress {
	p := &progress{parts: map[digest.Digest]image.Event{}}
	if t.interactive() {
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(t.raw),
			progressbar.OptionSetDescription(safe(title)),
			progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// event takes in what one transfer says of itself; transfers run side by side.
func (p *progress) event(e image.Event) {
	if p.bar == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[e.Descriptor.Digest] = e
	var done, total int64
	for _, part := range p.parts {
		total += part.Total
		if part.State == image.EventTransfer {
			done += part.Done
		} else {
			done += part.Total
		}
	}
	p.bar.ChangeMax64(max(total, 1))
	_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to fail
}

// done removes the bar; it may be called twice.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
