// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
)

// TestNothingFollows: of every document that is read here, a reader that stops
// where the document ends would not see what stands behind it, and another might
// read that instead. White space may stand there.
func TestNothingFollows(t *testing.T) {
	t.Parallel()
	s, key := newGoodSigstore(t), newKey(t)
	d := someOther
	bundle, payload := key.bundle(t, d).Bundle, payloadOf(d)
	envelope := key.legacyEnvelope(t, inToto, oldStatement(d, `{}`)).Payload
	kept := s.keylessLegacy(t, payload).Annotations
	for _, tt := range []struct {
		name string
		read func(tail string) error
	}{
		{"statement", func(tail string) error {
			_, err := readStatement([]byte(statementOf(d, schemas.PredicateCosignSign) + tail))
			return err
		}},
		{"bundle", func(tail string) error {
			_, err := parseBundle([]byte(string(bundle)+tail), maxBundle)
			return err
		}},
		{"payload", func(tail string) error {
			_, err := parseSimpleSigning([]byte(payload + tail))
			return err
		}},
		{"envelope", func(tail string) error {
			_, err := readEnvelope([]byte(string(envelope) + tail))
			return err
		}},
		{"log entry", func(tail string) error {
			_, err := legacyLogEntry([]byte(kept[schemas.AnnotationCosignBundle] + tail))
			return err
		}},
		{"body of a log entry", func(tail string) error {
			body := base64.StdEncoding.EncodeToString([]byte(`{"kind":"dsse","apiVersion":"0.0.1"}` + tail))
			_, err := legacyLogEntry([]byte(`{"Payload":{"body":"` + body + `","logID":"00"}}`))
			return err
		}},
		{"timestamp", func(tail string) error {
			return addLegacyProofs(new(protobundle.VerificationMaterial), map[string]string{
				schemas.AnnotationCosignTimestamp: kept[schemas.AnnotationCosignTimestamp] + tail,
			})
		}},
		{"predicate", func(tail string) error {
			_, err := statement{body: []byte(`{"a":1}` + tail)}.content()
			return err
		}},
		{"trusted root", func(tail string) error {
			_, err := ParseTrustedRoot([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`+tail), "tr.json")
			return err
		}},
		{"policy", func(tail string) error {
			_, err := parsePolicy([]byte(`{"version":1,"rules":[]}`+tail), "p.yaml", fakeFiles{})
			return err
		}},
		{"image manifest", func(tail string) error {
			img := newImage(t)
			img.Manifest = withTail(img.Manifest, tail)
			img.Root = img.Manifest
			_, err := intact(img)
			return err
		}},
		{"index", func(tail string) error {
			img := newImage(t)
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Root = withTail(img.Root, tail)
			_, err := intact(img)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, tail := range []string{"", "\n", " \r\n "} {
				if err := tt.read(tail); err != nil {
					t.Errorf("with %q behind it: %v", tail, err)
				}
			}
			for _, tail := range []string{"{}", " {}", "\n[]", "}", "]", "\n0", "\nnull", ",", "\nx", "\x00"} {
				if err := tt.read(tail); err == nil {
					t.Errorf("with %q behind it, it is read", tail)
				}
			}
		})
	}
}

// withTail is m with more behind it, under a digest that fits.
func withTail(m image.Manifest, tail string) image.Manifest {
	data := []byte(string(m.Bytes) + tail)
	return image.Manifest{Bytes: data, Descriptor: ocispec.Descriptor{
		MediaType: m.Descriptor.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data)),
	}}
}

// TestNothingFollowsSigned: the same where it counts, of what was signed with more
// behind it.
func TestNothingFollowsSigned(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	d := digestOf(newImage(t))
	signed := statementOf(d, schemas.PredicateCosignSign)
	for _, tt := range []struct {
		name      string
		candidate func(tail string) pull.Candidate
	}{
		{"statement", func(tail string) pull.Candidate { return candidateOf(key.envelope(t, inToto, signed+tail)) }},
		{"bundle", func(tail string) pull.Candidate {
			return candidateOf([]byte(string(key.envelope(t, inToto, signed)) + tail))
		}},
		{"payload", func(tail string) pull.Candidate { return key.legacy(t, payloadOf(d)+tail) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for tail, trusted := range map[string]bool{"": true, " \n\t": true, signed: false, "{}": false, "\x00": false} {
				img := newImage(t)
				img.Candidates = []pull.Candidate{tt.candidate(tail)}
				if v, err := Check(t.Context(), img, Keys{key.Key}); (err == nil) != trusted || (v != nil) != trusted || err != nil && !errors.Is(err, ErrNotTrusted) {
					t.Errorf("with %.20q behind it: %v", tail, err)
				}
			}
		})
	}
}

// TestNothingFollowsVerdict: a verdict is read alone, too.
func TestNothingFollowsVerdict(t *testing.T) {
	t.Parallel()
	for tail, trusted := range map[string]bool{"": true, "\n": true, "{}": false, "x": false} {
		e := newRemembered(t, newKey(t), time.Now())
		e.edit(t, "}", "}"+tail)
		_, err := CheckWith(t.Context(), e.img, must[*Policy](t)(LoadPolicy(filepath.Join(e.dir, "policy.yaml"))), e.opts)
		if trusted && err != nil || !trusted && (!errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "it has no signature")) {
			t.Errorf("with %q behind it: %v", tail, err)
		}
	}
}
