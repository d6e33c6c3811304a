// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// Settings is the content of config.yaml (`bpfimg --config`): what holds for a
// machine or a person rather than for one command. Unknown keys are an error that
// names the line.
type Settings struct {
	// Registries; of the entries whose prefix matches a reference, the most
	// specific one counts. Two entries with the same prefix are an error.
	Registries []RegistrySettings `yaml:"registries" json:"registries,omitempty"`
}

// RegistrySettings is how the images below one prefix are reached. It is modelled
// on containers-registries.conf(5).
type RegistrySettings struct {
	// Prefix is HOST[:PORT][/PATH], or *.DOMAIN[:PORT][/PATH] for every host below
	// the domain; required. A path matches at slash boundaries.
	Prefix string `yaml:"prefix" json:"prefix"`
	// Location takes the place of the part of the reference that Prefix matched:
	// HOST[:PORT][/PATH]. Default: the reference as it is.
	Location string `yaml:"location" json:"location,omitempty"`
	// Blocked refuses these references before any connection. It stands alone.
	Blocked bool `yaml:"blocked" json:"blocked,omitempty"`
	// ConnectionSettings of the registry itself, not of its mirrors.
	ConnectionSettings `yaml:",inline"`
	// Mirrors are asked first, in this order, when something is read. Nothing is
	// ever written to them.
	Mirrors []MirrorSettings `yaml:"mirrors" json:"mirrors,omitempty"`
}

// MirrorSettings is another registry with the same content.
type MirrorSettings struct {
	// Location takes the place of the matched prefix, as above; required.
	Location string `yaml:"location" json:"location"`
	// DigestsOnly: the mirror is asked for content by digest alone. What a tag
	// means and which signatures there are is asked elsewhere.
	DigestsOnly        bool `yaml:"digests-only" json:"digests-only,omitempty"`
	ConnectionSettings `yaml:",inline"`
}

// ConnectionSettings is how one registry host is talked to. Files are relative to
// the folder of the settings file.
type ConnectionSettings struct {
	// PlainHTTP allows http, without encryption, if the host does not answer https.
	PlainHTTP bool `yaml:"plain-http" json:"plain-http,omitempty"`
	// CA is a file of certificates (PEM) that are trusted for this host besides the
	// system's; with CAOnly instead of them.
	CA     string `yaml:"ca" json:"ca,omitempty"`
	CAOnly bool   `yaml:"ca-only" json:"ca-only,omitempty"`
	// Cert and Key are files (PEM) of the client certificate and its private key.
	// One needs the other.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// Proxy is a URL (http, https, socks5 or socks5h); "" connects directly.
	// Default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.
	Proxy *string `yaml:"proxy" json:"proxy,omitempty"`
}
