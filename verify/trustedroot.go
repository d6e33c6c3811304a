// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/limited"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// MaxTrustedRoot bounds a trusted root file, in bytes. That of the public
// Sigstore services is about 7 KiB.
const MaxTrustedRoot = 1 << 20

// maxAuthorities bounds each kind of service in a trusted root. Every one of
// them may be tried for every signature.
const maxAuthorities = 64

// TrustedRoot holds the certificate authorities, logs and timestamp authorities
// that are believed. It is read-only and safe for concurrent use.
type TrustedRoot struct {
	// File is where it was read from, ID "sha256:<hex>" of its content.
	File, ID string

	material *root.TrustedRoot
}

// LoadTrustedRoot reads a Sigstore trusted root file of at most
// [MaxTrustedRoot] bytes; see [ParseTrustedRoot].
func LoadTrustedRoot(path string) (*TrustedRoot, error) {
	data, err := limited.ReadFile(path, MaxTrustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return ParseTrustedRoot(data, path)
}

// ParseTrustedRoot parses a Sigstore trusted root
// (sigstore/protobuf-specs, sigstore_trustroot.proto) in JSON. name, a file
// name, is for errors and becomes its File.
func ParseTrustedRoot(data []byte, name string) (*TrustedRoot, error) {
	material, err := parseTrustedRoot(data)
	if err != nil {
		return nil, fmt.Errorf("trusted root %q: %w", name, err)
	}
	sum := sha256.Sum256(data)
	return &TrustedRoot{File: name, ID: "sha256:" + hex.EncodeToString(sum[:]), material: material}, nil
}

func parseTrustedRoot(data []byte) (*root.TrustedRoot, error) {
	if len(data) > MaxTrustedRoot {
		return nil, fmt.Errorf("over the limit of %d bytes", MaxTrustedRoot)
	}
	if err := boundedjson.Check(data, boundedjson.Default); err != nil {
		return nil, err
	}
	message, err := root.NewTrustedRootProtobuf(data)
	if err != nil {
		return nil, err
	}
	if err := countAuthorities(message); err != nil {
		return nil, err
	}
	return root.NewTrustedRootFromProtobuf(message)
}

func countAuthorities(m *prototrustroot.TrustedRoot) error {
	for _, kind := range []struct {
		name  string
		count int
	}{
		{"transparency logs", len(m.GetTlogs())},
		{"certificate authorities", len(m.GetCertificateAuthorities())},
		{"certificate logs", len(m.GetCtlogs())},
		{"timestamp authorities", len(m.GetTimestampAuthorities())},
	} {
		if kind.count > maxAuthorities {
			return fmt.Errorf("has %d %s, over the limit of %d", kind.count, kind.name, maxAuthorities)
		}
	}
	return nil
}

// usable says what is missing in r for what a rule asks of it.
func (r *TrustedRoot) usable(needCA, needLog, needTime bool) error {
	logs, stamps := len(r.material.RekorLogs()), len(r.material.TimestampingAuthorities())
	switch {
	case needCA && len(r.material.FulcioCertificateAuthorities()) == 0:
		return fmt.Errorf("trusted root %q names no certificate authority, so no identity could ever sign", r.File)
	case needLog && logs == 0:
		return fmt.Errorf("trusted root %q names no transparency log: set transparencyLog: optional, or take a trusted root with one", r.File)
	case needTime && logs+stamps == 0:
		return fmt.Errorf("trusted root %q names neither a transparency log nor a timestamp authority, so no signing time could ever be proven", r.File)
	}
	return nil
}
