// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package logins finds, keeps and erases the credentials of registries where
// docker and podman have theirs: DOCKER_AUTH_CONFIG, REGISTRY_AUTH_FILE,
// docker's config.json, podman's auth.json and the credential helpers these name.
//
// Door: [New]; a [Logins] is a keychain for [github.com/google/go-containerregistry].
// A secret never gets into an error, an argument or a log.
package logins
