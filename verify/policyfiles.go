// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"

	"github.com/bpfimg/bpfimg/internal/limited"
)

// fileSource reads the files a policy names, each once, relative to its folder.
type fileSource struct {
	dir   string
	keys  map[string]Key
	roots map[string]*TrustedRoot
	sums  map[string][sha256.Size]byte // of every file, by name as written
}

func newFileSource(policy string) *fileSource {
	return &fileSource{
		dir:  filepath.Dir(policy),
		keys: map[string]Key{}, roots: map[string]*TrustedRoot{}, sums: map[string][sha256.Size]byte{},
	}
}

// read returns the content of a file and the path it was read from.
func (s *fileSource) read(file string, limit int64) ([]byte, string, error) {
	if file == "" {
		return nil, "", errors.New("no file is named")
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	data, err := limited.ReadFile(path, limit)
	if err != nil {
		return nil, "", err
	}
	s.sums[file] = sha256.Sum256(data)
	return data, path, nil
}

func (s *fileSource) key(file string) (Key, error) {
	if key, ok := s.keys[file]; ok {
		return key, nil
	}
	data, path, err := s.read(file, MaxKey)
	if err != nil {
		return Key{}, err
	}
	key, err := ParseKey(data, path)
	if err != nil {
		return Key{}, err
	}
	s.keys[file] = key
	return key, nil
}

func (s *fileSource) root(file string) (*TrustedRoot, error) {
	if root, ok := s.roots[file]; ok {
		return root, nil
	}
	data, path, err := s.read(file, MaxTrustedRoot)
	if err != nil {
		return nil, err
	}
	root, err := ParseTrustedRoot(data, path)
	if err != nil {
		return nil, err
	}
	s.roots[file] = root
	return root, nil
}

// sum is a digest over the names and contents of all files read.
func (s *fileSource) sum() []byte {
	names := make([]string, 0, len(s.sums))
	for name := range s.sums {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		of, content := sha256.Sum256([]byte(name)), s.sums[name]
		h.Write(of[:])
		h.Write(content[:])
	}
	return h.Sum(nil)
}
