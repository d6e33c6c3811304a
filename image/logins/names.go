// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import "strings"

// Docker Hub's name, its older one, and the key docker uses for it.
const (
	dockerHub   = "docker.io"
	dockerIndex = "index.docker.io"
	dockerKey   = "https://index.docker.io/v1/"
)

// namesOf are the keys that count for name, the most specific first: a repository,
// the paths above it and the host (containers-auth.json(5)).
func namesOf(name string) []string {
	name = hubName(name)
	names := []string{name}
	for {
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return names
		}
		name = name[:i]
		names = append(names, name)
	}
}

// hubName is name with Docker Hub's host as references spell it.
func hubName(name string) string {
	host, path, found := strings.Cut(name, "/")
	if host == dockerIndex {
		host = dockerHub
	}
	if !found {
		return host
	}
	return host + "/" + path
}

// keyName is what a file's key names. docker also writes URLs, of which the host
// counts; it and others have written the path of the registry's API after the host
// alone, too. Any other path is podman's, for what is below it.
func keyName(key string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(key, scheme); ok {
			host, _, _ := strings.Cut(rest, "/")
			return hubName(host)
		}
	}
	name := strings.TrimRight(key, "/")
	if host, path, ok := strings.Cut(name, "/"); ok && name != key && (path == "v1" || path == "v2") {
		return hubName(host)
	}
	return hubName(name)
}

// ownKey is the key that docker, too, would write for a host.
func ownKey(host string) string {
	if hubName(host) == dockerHub {
		return dockerKey
	}
	return host
}
