// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
)

// maxUploads bounds uploads under way; the oldest is forgotten for a new one.
const maxUploads = 256

// uploads are the blobs on their way, held in memory. Go-containerregistry's
// own would keep abandoned ones for ever and let one slow client hold up all.
type uploads struct {
	// maxBlob bounds one upload, twice that all of them together, in bytes.
	maxBlob int64

	mu    sync.Mutex
	byID  map[string]*upload
	order []string // oldest first
	total int64
}

// upload is one blob on its way.
type upload struct {
	name string
	size int64 // accounted for; guarded by uploads.mu

	mu    sync.Mutex // held while a part is read
	data  []byte
	short bool // the last chunk was below Options.MinChunk
}

func newUploads(maxBlob int64) *uploads {
	return &uploads{maxBlob: maxBlob, byID: map[string]*upload{}}
}

func (u *uploads) start(name string) string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails (package crypto/rand)
	id := hex.EncodeToString(raw[:])
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.order) >= maxUploads {
		u.drop(u.order[0])
	}
	u.byID[id] = &upload{name: name}
	u.order = append(u.order, id)
	return id
}

// get returns the upload, nil when it is not one of the repository's.
func (u *uploads) get(name, id string) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up := u.byID[id]; up != nil && up.name == name {
		return up
	}
	return nil
}

// grow accounts for n more bytes of id, at the cost of older uploads.
func (u *uploads) grow(id string, n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.byID[id]
	if up == nil {
		return // forgotten in the meantime
	}
	up.size += n
	u.total += n
	for u.total > 2*u.maxBlob && u.order[0] != id {
		u.drop(u.order[0])
	}
}

func (u *uploads) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drop(id)
}

// drop forgets an upload. The caller holds the lock.
func (u *uploads) drop(id string) {
	up := u.byID[id]
	if up == nil {
		return
	}
	delete(u.byID, id)
	u.order = slices.DeleteFunc(u.order, func(other string) bool { return other == id })
	u.total -= up.size
}
