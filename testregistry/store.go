// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// storedManifest is one manifest of a repository. It never changes.
type storedManifest struct {
	mediaType string
	data      []byte
	digest    digest.Digest
	head      manifestHead
}

// repository is what one name holds.
type repository struct {
	manifests map[digest.Digest]*storedManifest
	tags      map[string]digest.Digest
	// blobs are kept by the SHA-256 of their content, whatever they are called.
	blobs map[digest.Digest]digest.Digest
	// sorted are the keys of tags; nil when they have changed since.
	sorted []string
}

// store is every repository: in memory for reading, and on disk, where it
// survives a restart.
type store struct {
	disk *disk // nil: memory only

	mu    sync.RWMutex
	repos map[string]*repository
}

// openStore reads back what dir holds; "" is memory only.
func openStore(dir string, log *slog.Logger) (*store, error) {
	s := &store{repos: map[string]*repository{}}
	if dir == "" {
		return s, nil
	}
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	links, err := d.links(log)
	if err != nil {
		return nil, err
	}
	// Tags last: a tag whose manifest is damaged must not be there.
	for _, kind := range []linkKind{linkBlob, linkManifest, linkTag} {
		for _, l := range links {
			if l.Kind == kind {
				s.restore(d, l, log)
			}
		}
	}
	s.disk = d
	return s, nil
}

// restore takes one link back into memory.
func (s *store) restore(d *disk, l link, log *slog.Logger) {
	repo := s.repo(l.Repository)
	switch l.Kind {
	case linkBlob:
		repo.blobs[l.Digest] = l.Digest
		if l.Content != "" {
			repo.blobs[l.Digest] = l.Content
		}
	case linkTag:
		if repo.manifests[l.Digest] != nil {
			repo.tags[l.Tag] = l.Digest
		}
	case linkManifest:
		data, err := d.manifest(l.Digest)
		if err != nil {
			log.Warn("a manifest is damaged and left out", "repository", l.Repository, "digest", l.Digest, "error", err)
			return
		}
		repo.manifests[l.Digest] = newStored(l.MediaType, l.Digest, data)
	}
}

// newStored is data, which d names.
func newStored(mediaType string, d digest.Digest, data []byte) *storedManifest {
	m := &storedManifest{mediaType: mediaType, data: data, digest: d}
	// What cannot be parsed was refused when it was put.
	_ = boundedjson.Unmarshal(data, &m.head)
	return m
}

// repo returns the repository, made when missing. The caller holds the lock.
func (s *store) repo(name string) *repository {
	r := s.repos[name]
	if r == nil {
		r = &repository{manifests: map[digest.Digest]*storedManifest{}, tags: map[string]digest.Digest{}, blobs: map[digest.Digest]digest.Digest{}}
		s.repos[name] = r
	}
	return r
}

// putManifest stores m under its digest and tags.
func (s *store) putManifest(name string, tags []string, m *storedManifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk != nil {
		if err := s.disk.putManifest(m); err != nil {
			return err
		}
		if err := s.disk.putLink(link{Kind: linkManifest, Repository: name, MediaType: m.mediaType, Digest: m.digest}); err != nil {
			return err
		}
		for _, tag := range tags {
			if err := s.disk.putLink(link{Kind: linkTag, Repository: name, Tag: tag, Digest: m.digest}); err != nil {
				return err
			}
		}
	}
	repo := s.repo(name)
	repo.manifests[m.digest] = m
	for _, tag := range tags {
		repo.tags[tag] = m.digest
		repo.sorted = nil
	}
	return nil
}

// manifest returns what a tag or digest names, nil when there is none.
func (s *store) manifest(name, target string) *storedManifest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo := s.repos[name]
	if repo == nil {
		return nil
	}
	if d, ok := repo.tags[target]; ok {
		return repo.manifests[d]
	}
	return repo.manifests[digest.Digest(target)]
}

// deleteManifest removes a tag alone, or a manifest with all its tags. It
// returns false when there is none.
func (s *store) deleteManifest(name, target string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[name]
	if repo == nil {
		return false, nil
	}
	if _, ok := repo.tags[target]; ok {
		return true, s.deleteTag(name, repo, target)
	}
	d := digest.Digest(target)
	if repo.manifests[d] == nil {
		return false, nil
	}
	for _, tag := range slices.Sorted(maps.Keys(repo.tags)) {
		if repo.tags[tag] == d {
			if err := s.deleteTag(name, repo, tag); err != nil {
				return true, err
			}
		}
	}
	if s.disk != nil {
		if err := s.disk.deleteLink(link{Kind: linkManifest, Repository: name, Digest: d}); err != nil {
			return true, err
		}
	}
	delete(repo.manifests, d)
	return true, nil
}

func (s *store) deleteTag(name string, repo *repository, tag string) error {
	if s.disk != nil {
		if err := s.disk.deleteLink(link{Kind: linkTag, Repository: name, Tag: tag}); err != nil {
			return err
		}
	}
	delete(repo.tags, tag)
	repo.sorted = nil
	return nil
}

// linkBlob makes a blob that is stored, content by its SHA-256, visible in a
// repository as d.
func (s *store) linkBlob(name string, d, content digest.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk != nil {
		l := link{Kind: linkBlob, Repository: name, Digest: d}
		if content != d {
			l.Content = content
		}
		if err := s.disk.putLink(l); err != nil {
			return err
		}
	}
	s.repo(name).blobs[d] = content
	return nil
}

// unlinkBlob hides a blob from a repository. It returns false when it was not
// there.
func (s *store) unlinkBlob(name string, d digest.Digest) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[name]
	if repo == nil || repo.blobs[d] == "" {
		return false, nil
	}
	if s.disk != nil {
		if err := s.disk.deleteLink(link{Kind: linkBlob, Repository: name, Digest: d}); err != nil {
			return true, err
		}
	}
	delete(repo.blobs, d)
	return true, nil
}

// blob is the SHA-256 of the content of a repository's blob, "" if it has none.
func (s *store) blob(name string, d digest.Digest) (content digest.Digest) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if repo := s.repos[name]; repo != nil {
		content = repo.blobs[d]
	}
	return content
}

func (s *store) hasBlob(name string, d digest.Digest) bool { return s.blob(name, d) != "" }

// names lists the repositories, sorted.
func (s *store) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.repos))
}

// tags lists the tags of a repository, sorted; false when there is no such
// repository.
func (s *store) tags(name string) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[name]
	if repo == nil {
		return nil, false
	}
	if repo.sorted == nil {
		repo.sorted = slices.Sorted(maps.Keys(repo.tags))
	}
	return repo.sorted, true // read only; a change makes a new one
}

// referrers lists the manifests whose subject is d, sorted by digest.
func (s *store) referrers(name string, d digest.Digest) []ocispec.Descriptor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo := s.repos[name]
	list := []ocispec.Descriptor{}
	if repo == nil {
		return list
	}
	for _, key := range slices.Sorted(maps.Keys(repo.manifests)) {
		m := repo.manifests[key]
		if m.head.Subject == nil || m.head.Subject.Digest != d {
			continue
		}
		list = append(list, ocispec.Descriptor{
			MediaType:    m.mediaType,
			ArtifactType: m.head.artifactKind(),
			Digest:       m.digest,
			Size:         int64(len(m.data)),
			Annotations:  m.head.Annotations,
		})
	}
	return list
}
