// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// attackRig is a registry in an attacker's hands, and a node that asks it: the
// command itself, in a process of its own, with a key and an authority to trust.
type attackRig struct {
	t     *testing.T
	host  string
	dir   string // where the node runs: cosign.pub, root.json
	store *image.Store
	// repo writes past all faults, whatever the host is called.
	repo *image.Registry
	// good and evil are the names of two images in the store.
	good, evil image.Reference

	key, stranger    *verifytest.Key
	sigstore         *verifytest.Sigstore // trusted by root.json
	expired, unknown *verifytest.Sigstore // with an old intermediate (old.json), and by nothing

	mu     sync.Mutex
	faults []testregistry.Fault
	inner  http.Handler
}

// ServeHTTP implements [http.Handler]: the registry as the node sees it.
func (r *attackRig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	handler := r.inner
	for _, f := range r.faults {
		handler = f.Wrap(handler)
	}
	r.mu.Unlock()
	handler.ServeHTTP(w, req)
}

func newAttackRig(t *testing.T) *attackRig {
	t.Helper()
	inner := verifytest.Must[*testregistry.Registry](t)(testregistry.New(testregistry.Options{AcceptIncomplete: true}))
	r := &attackRig{
		t: t, dir: t.TempDir(), inner: inner,
		key: verifytest.NewKey(t), stranger: verifytest.NewKey(t),
		sigstore: verifytest.NewGoodSigstore(t), expired: expiredSigstore(t), unknown: verifytest.NewGoodSigstore(t),
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = server.Listener.Addr().String()
	r.repo = verifytest.Must[*image.Registry](t)(image.NewRegistry(image.RegistryOptions{
		Keychain: authn.NewMultiKeychain(), Transport: testregistry.InProcess(inner),
	}))
	r.write("cosign.pub", r.key.PEM(t))
	r.write("root.json", r.sigstore.TrustedRoot(t, verifytest.Trust{}))
	r.write("old.json", r.expired.TrustedRoot(t, verifytest.Trust{}))
	r.good, r.evil = r.build("good"), r.build("evil", "--label", "intruder=yes")
	r.store = verifytest.Must[*image.Store](t)(image.OpenStore(filepath.Join(r.dir, "ci", "store")))
	return r
}

func (r *attackRig) write(name string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// build makes an image the way everyone does.
func (r *attackRig) build(tag string, args ...string) image.Reference {
	r.t.Helper()
	name := "localhost/attack/app:" + tag
	args = append([]string{"--root", "ci", "build", "-t", name, "--platform", "linux/amd64"}, args...)
	object := verifytest.Must[string](r.t)(filepath.Abs("../../examples/xdp-counter/counter.bpf.o"))
	if out := r.command(append(args, object)...); out.code != 0 {
		r.t.Fatalf("building: %s", out.stderr)
	}
	return verifytest.Must[image.Reference](r.t)(image.ParseReference(name))
}

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command runs bpfimg on the node.
func (r *attackRig) command(args ...string) outcome {
	r.t.Helper()
	return r.execute("bpfimg", args...)
}

func (r *attackRig) execute(name string, args ...string) outcome {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "BPFIMG_ROOT="+filepath.Join(r.dir, "root"), "BPFIMG_POLICY=")
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// victim is one image in the registry, in a repository of its own.
type victim struct {
	*attackRig
	t   *testing.T
	ref image.Reference // with the tag v1
	// good and evil are what can be under that tag.
	good, evil ocispec.Descriptor
}

// newVictim puts the good image under the tag v1 and the evil one under evil,
// both unsigned.
func (r *attackRig) newVictim(t *testing.T, repository string) *victim {
	t.Helper()
	v := &victim{attackRig: r, t: t, ref: verifytest.Must[image.Reference](t)(image.ParseReference(r.host + "/" + repository + ":v1"))}
	v.evil = v.copy(r.evil, v.ref.WithTag("evil"))
	v.good = v.copy(r.good, v.ref)
	return v
}

func (v *victim) copy(from, to image.Reference) ocispec.Descriptor {
	v.t.Helper()
	return verifytest.Must[ocispec.Descriptor](v.t)(image.Copy(v.t.Context(), v.repo, to, v.store, from, image.CopyOptions{}))
}

// fault makes requests for this repository go wrong whose path goes on as given.
func (v *victim) fault(path string, do testregistry.Action, skip int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, testregistry.Fault{Method: http.MethodGet, Path: v.ref.Repository() + path, Skip: skip, Do: do})
}

func (v *victim) blob(mediaType string, data []byte) ocispec.Descriptor {
	v.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := v.repo.PutBlob(v.t.Context(), v.ref, desc, data, ""); err != nil {
		v.t.Fatal(err)
	}
	return desc
}

// document pushes a manifest or index; tag "" leaves it to its digest.
func (v *victim) document(tag, mediaType string, content any) ocispec.Descriptor {
	v.t.Helper()
	data := verifytest.Must[[]byte](v.t)(json.Marshal(content))
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	at := v.ref.WithDigest(desc.Digest.String())
	if tag != "" {
		at = v.ref.WithTag(tag)
	}
	if err := v.repo.PutManifest(v.t.Context(), at, image.Manifest{Descriptor: desc, Bytes: data}); err != nil {
		v.t.Fatal(err)
	}
	return desc
}

func (v *victim) manifest(tag string, m ocispec.Manifest) ocispec.Descriptor {
	v.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	return v.document(tag, m.MediaType, m)
}

// index pushes an index of the platforms, in order.
func (v *victim) index(tag string, platforms []string, images ...ocispec.Descriptor) ocispec.Descriptor {
	v.t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, m := range images {
		os, arch, _ := strings.Cut(platforms[i], "/")
		m.Platform = &ocispec.Platform{OS: os, Architecture: arch}
		index.Manifests = append(index.Manifests, m)
	}
	return v.document(tag, index.MediaType, index)
}

// attach makes bundle a referrer of subject.
func (v *victim) attach(subject ocispec.Descriptor, bundle []byte) ocispec.Descriptor {
	v.t.Helper()
	return v.manifest("", ocispec.Manifest{
		ArtifactType: schemas.MediaTypeBundle,
		Config:       v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{v.blob(schemas.MediaTypeBundle, bundle)},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
}

// attachLegacy puts a signature where cosign 2 kept those of subject.
func (v *victim) attachLegacy(subject ocispec.Descriptor, payload string, annotations map[string]string) {
	v.t.Helper()
	layer := v.blob(schemas.MediaTypeSimpleSigning, []byte(payload))
	layer.Annotations = annotations
	v.manifest("sha256-"+subject.Digest.Encoded()+".sig", ocispec.Manifest{
		Config: v.blob(ocispec.MediaTypeImageConfig, []byte(`{}`)), Layers: []ocispec.Descriptor{layer},
	})
}

// signs is the statement of a signature of image.
func signs(image ocispec.Descriptor) string {
	return verifytest.Statement(image.Digest.String(), schemas.PredicateCosignSign)
}

// attack is one row: how an image was made and what the node says of it.
type attack struct {
	name    string
	prepare func(v *victim)
	// repository is the image's; default: one below team.
	repository string
	// args follow `bpfimg verify`, the reference comes last; default: key.
	args []string
	// policy is written to a file and given; in it, HOST is the registry and REPO
	// the repository.
	policy string
	code   int
	want   string // a regular expression for standard error, or output if trusted
}

// Ways to trust.
var (
	byKey      = []string{"--key", "cosign.pub"}
	byIdentity = identityArgs("root.json", verifytest.Subject)
)

func identityArgs(root, subject string) []string {
	return []string{"--trusted-root", root, "--certificate-oidc-issuer", verifytest.Issuer, "--certificate-identity", subject}
}

// run makes the image, asks the node, and compares.
func (r *attackRig) run(t *testing.T, number int, row attack) {
	v := r.newVictim(t, cmp.Or(row.repository, fmt.Sprintf("team/app%d", number)))
	row.prepare(v)
	args := row.args
	if args == nil {
		args = byKey
	}
	if row.policy != "" {
		name := fmt.Sprintf("policy%d.yaml", number)
		r.write(name, []byte(strings.NewReplacer("REPO", v.ref.Name(), "HOST", r.host).Replace(row.policy)))
		args = []string{"--policy", name}
	}
	// A node of its own each time: another one may have read something already, which
	// would not be asked for again. The last platform given counts.
	node := fmt.Sprintf("node%d", number)
	args = append([]string{"--root", node, "verify", "--platform", "linux/amd64"}, args...)
	out := r.command(append(args, v.ref.String())...)
	said := out.stderr
	if row.code == exitDone {
		said = out.stdout
	}
	switch {
	case out.code != row.code || !regexp.MustCompile(row.want).MatchString(said):
		t.Errorf("exit code %d, want %d and %q:\n%s%s", out.code, row.code, row.want, out.stdout, out.stderr)
	case out.code != exitDone && strings.Contains(out.stdout, ": verified\n"):
		t.Errorf("refused, and says:\n%s", out.stdout)
	case out.code != exitDone && row.code != exitUsage && !strings.Contains(out.stderr, v.ref.Name()) && row.policy == "":
		t.Errorf("names no image:\n%s", out.stderr)
	}
}
