// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

const (
	// verdictFormat is raised whenever what a verdict means changes.
	verdictFormat = 1
	// maxVerdict bounds a file, in bytes, maxVerdicts how many are looked at when
	// they are pruned.
	maxVerdict  = 256 << 10
	maxVerdicts = 1 << 16
	// verdictSuffix ends the files' names.
	verdictSuffix = ".json"
)

// Verdicts remembers in a folder who was proven to have signed an image. What it
// holds is believed only by the same program, for the same image, index, repository,
// policy, keys and trusted root, as long as no date in the rule has passed, and only in files that
// nobody but the caller can have written: whoever can write those can also write
// the policy and load programs. Nothing else is remembered. The image's bytes are
// hashed, deny list, version and limits on the bytecode judged each time.
//
// The zero value remembers nothing.
type Verdicts struct{ dir, by string }

// NewVerdicts remembers in dir, which the first verdict creates. by names what
// decides, with its version: what another version let through may be what this one
// was made to refuse.
func NewVerdicts(dir, by string) Verdicts { return Verdicts{dir: dir, by: by} }

// verdict is the content of a file.
type verdict struct {
	Inputs verdictInputs `json:"inputs"`
	// Decided is when it was, Until when a key's time ends.
	Decided time.Time  `json:"decided"`
	Until   *time.Time `json:"until,omitempty"`
	// Rule and Signers are for people and for the record of the instance.
	Rule    string           `json:"rule"`
	Signers []schemas.Signer `json:"signers"`
}

// verdictInputs is all that a verdict depends on.
type verdictInputs struct {
	Format     int    `json:"format"`
	By         string `json:"by"`
	Digest     string `json:"digest"`
	Index      string `json:"index"` // the same as Digest without one
	Repository string `json:"repository"`
	// Trust is over the policy and all files it names.
	Trust string `json:"trust"`
}

// fingerprinter is a [Trust] whose verdicts can be remembered: equal fingerprints
// decide everything alike.
type fingerprinter interface{ Fingerprint() string }

var (
	_ fingerprinter = (*Policy)(nil)
	_ fingerprinter = Keys(nil)
)

// Fingerprint is "sha256:<hex>" over the keys and their dates.
func (k Keys) Fingerprint() string {
	h := sha256.New()
	for _, key := range k {
		fmt.Fprintf(h, "%q %d %d\n", key.ID, key.NotBefore.UnixNano(), key.NotAfter.UnixNano())
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// inputs of a verdict on img; false when verdicts are not to be remembered.
func (v Verdicts) inputs(img *pull.Image, trust Trust) (verdictInputs, bool) {
	f, ok := trust.(fingerprinter)
	if v.dir == "" || !ok {
		return verdictInputs{}, false
	}
	return verdictInputs{
		Format: verdictFormat, By: v.by, Digest: img.Manifest.Descriptor.Digest.String(), Index: img.Root.Descriptor.Digest.String(),
		Repository: img.Reference.Name(), Trust: f.Fingerprint(),
	}, true
}

// path is the file for a verdict on in.
func (v Verdicts) path(in verdictInputs) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %q %q %q %q", in.Format, in.By, in.Digest, in.Index, in.Repository, in.Trust)
	return filepath.Join(v.dir, hex.EncodeToString(h.Sum(nil))+verdictSuffix)
}

// recall returns the verdict on img, nil when there is none that counts now.
func (v Verdicts) recall(img *pull.Image, trust Trust, now time.Time) *verdict {
	in, ok := v.inputs(img, trust)
	if !ok {
		return nil
	}
	found, err := readVerdict(v.path(in))
	switch {
	case err != nil, found.Inputs != in, len(found.Signers) == 0:
		return nil
	case now.Before(found.Decided): // the clock was set back: what was decided then is not known yet
		return nil
	case found.Until != nil && now.After(*found.Until):
		return nil
	}
	return found
}

// remember writes down who signed img. An error costs nothing but the time to
// verify again.
func (v Verdicts) remember(img *pull.Image, trust Trust, rule Rule, signers []schemas.Signer, now time.Time) error {
	in, ok := v.inputs(img, trust)
	if !ok {
		return nil
	}
	data, err := json.Marshal(verdict{
		Inputs: in, Decided: now.UTC(), Until: rule.until(now), Rule: rule.String(), Signers: signers,
	})
	if err == nil && len(data) > maxVerdict {
		err = fmt.Errorf("it takes %d bytes, over the limit of %d", len(data), maxVerdict)
	}
	if err == nil {
		err = writeVerdict(v.path(in), data)
	}
	if err != nil {
		return fmt.Errorf("remembering the verdict: %w", err)
	}
	return nil
}

// until is the next end or beginning of a key's time after now: nothing that is
// decided now holds longer. Nil without one.
func (r Rule) until(now time.Time) *time.Time {
	var first *time.Time
	all := append([]Key(nil), r.signers.keys...)
	for _, a := range r.attestations {
		all = append(all, a.signers.keys...)
	}
	for _, k := range all {
		for _, t := range []time.Time{k.NotBefore, k.NotAfter} {
			if t.After(now) && (first == nil || t.Before(*first)) {
				first = &t
			}
		}
	}
	return first
}

// readVerdict reads a file that nobody else can have written.
func readVerdict(path string) (*verdict, error) {
	data, err := readOwn(path, maxVerdict)
	if err != nil {
		return nil, err
	}
	var found verdict
	if err := boundedjson.Unmarshal(data, &found); err != nil {
		return nil, fmt.Errorf("verdict %s: %w", path, err)
	}
	return &found, nil
}

// writeVerdict replaces the file at once or not at all. After a power cut it may be
// damaged: then it is not believed, and the signatures are verified again.
func writeVerdict(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o600)
}

// PrunedVerdicts is what [Verdicts.Prune] deleted, or would delete.
type PrunedVerdicts struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Prune deletes what cannot be believed any more: verdicts on images that are not
// there, as has says by their digest, of another format or program, past their end, and
// whatever else is in the folder. With dryRun it only counts.
func (v Verdicts) Prune(has func(digest string) bool, now time.Time, dryRun bool) (pruned PrunedVerdicts, err error) {
	if v.dir == "" {
		return pruned, nil
	}
	entries, err := os.ReadDir(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pruned, nil
	} else if err != nil {
		return pruned, fmt.Errorf("pruning verdicts: %w", err)
	}
	for _, entry := range entries[:min(len(entries), maxVerdicts)] {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || v.current(entry.Name(), has, now) {
			continue
		}
		if !dryRun {
			if err := os.Remove(filepath.Join(v.dir, entry.Name())); err != nil {
				return pruned, fmt.Errorf("pruning verdicts: %w", err)
			}
		}
		pruned.Files++
		pruned.Bytes += info.Size()
	}
	return pruned, nil
}

// current says whether the file may still be of use.
func (v Verdicts) current(name string, has func(digest string) bool, now time.Time) bool {
	if !strings.HasSuffix(name, verdictSuffix) {
		return false
	}
	found, err := readVerdict(filepath.Join(v.dir, name))
	return err == nil && found.Inputs.Format == verdictFormat && found.Inputs.By == v.by && filepath.Base(v.path(found.Inputs)) == name &&
		(found.Until == nil || !now.After(*found.Until)) && has(found.Inputs.Digest)
}
