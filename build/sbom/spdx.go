// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sbom

import (
	"crypto/sha1" // #nosec G505 -- SPDX wants it beside SHA-256; nothing trusts it
	"fmt"
	"slices"
	"strings"
)

// documentID is the identifier every SPDX document has for itself.
const documentID = "SPDXRef-DOCUMENT"

// sha1Name is what SPDX calls the algorithm.
const sha1Name = "SHA1"

// The parts of an SPDX document that are used, named as in its JSON schema
// (spdx/spdx-spec v2.3, schemas/spdx-schema.json).
type document struct {
	Version     string     `json:"spdxVersion"`
	DataLicense string     `json:"dataLicense"`
	ID          string     `json:"SPDXID"`
	Name        string     `json:"name"`
	Namespace   string     `json:"documentNamespace"`
	Created     creation   `json:"creationInfo"`
	Packages    []pkg      `json:"packages"`
	Files       []file     `json:"files,omitempty"`
	Licenses    []license  `json:"hasExtractedLicensingInfos,omitempty"`
	Relations   []relation `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pkg struct {
	ID        string     `json:"SPDXID"`
	Name      string     `json:"name"`
	Version   string     `json:"versionInfo,omitempty"`
	Download  string     `json:"downloadLocation"`
	Analyzed  bool       `json:"filesAnalyzed"`
	Verify    *verify    `json:"packageVerificationCode,omitempty"`
	Checksums []checksum `json:"checksums,omitempty"`
	Concluded string     `json:"licenseConcluded"`
	Declared  string     `json:"licenseDeclared"`
	Copyright string     `json:"copyrightText"`
	Comment   string     `json:"comment,omitempty"`
	Purpose   string     `json:"primaryPackagePurpose,omitempty"`
	Refs      []external `json:"externalRefs,omitempty"`
}

type verify struct {
	Code string `json:"packageVerificationCodeValue"`
}

type file struct {
	ID        string     `json:"SPDXID"`
	Name      string     `json:"fileName"`
	Types     []string   `json:"fileTypes"`
	Checksums []checksum `json:"checksums"`
	Concluded string     `json:"licenseConcluded"`
	Licenses  []string   `json:"licenseInfoInFiles"`
	Copyright string     `json:"copyrightText"`
	Comment   string     `json:"comment,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type external struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type license struct {
	ID   string `json:"licenseId"`
	Name string `json:"name"`
	Text string `json:"extractedText"`
}

type relation struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

func (w *writer) relate(from, how, to string) {
	w.doc.Relations = append(w.doc.Relations, relation{from, how, to})
}

// sealPackages gives the packages that contain files the code over them that SPDX
// asks of such: the SHA-1 of the files' SHA-1s in order (clause 7.9).
func (w *writer) sealPackages() {
	sums := map[string]string{}
	for _, f := range w.doc.Files {
		for _, c := range f.Checksums {
			if c.Algorithm == sha1Name {
				sums[f.ID] = c.Value
			}
		}
	}
	for i := range w.doc.Packages {
		p := &w.doc.Packages[i]
		var contained []string
		for _, r := range w.doc.Relations {
			if sum, isFile := sums[r.To]; isFile && r.Type == "CONTAINS" && r.From == p.ID {
				contained = append(contained, sum)
			}
		}
		if len(contained) == 0 {
			continue
		}
		slices.Sort(contained)
		p.Analyzed, p.Verify = true, &verify{fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(contained, ""))))} // #nosec G401
	}
}

// newPackage says nothing of a package but its name.
func newPackage(id, name string) pkg {
	return pkg{ID: id, Name: name, Download: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion}
}

// newFile names a file in SPDX's form, which has no absolute paths: those are
// relative to the root of the file system.
func newFile(id, name, digest, weak, kind string) file {
	return file{
		ID: id, Name: "./" + strings.TrimLeft(strings.TrimPrefix(name, "./"), "/"), Types: []string{kind}, Checksums: checksums(digest, weak),
		Concluded: noAssertion, Licenses: []string{noAssertion}, Copyright: noAssertion,
	}
}

// checksums of a "sha256:…" digest and a SHA-1 in hex, unless that is "".
func checksums(digest, weak string) []checksum {
	var list []checksum
	if weak != "" {
		list = append(list, checksum{sha1Name, weak})
	}
	return append(list, checksum{"SHA256", strings.TrimPrefix(digest, "sha256:")})
}

// idText makes of text what an identifier may have: letters, digits, "." and
// "-".
func idText(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, text)
}
