// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

import (
	"bytes"
	"io"
	"sync"
)

// stream is a pipe that holds whatever is written: a command that nobody reads is in
// nobody's way.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	unread  bytes.Buffer
	closed  bool
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread.Write(p)
	s.changed.Broadcast()
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// Read waits until there is something to read, or no more will come.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.unread.Len() == 0 {
		if s.closed {
			return 0, io.EOF
		}
		s.changed.Wait()
	}
	return s.unread.Read(p)
}
