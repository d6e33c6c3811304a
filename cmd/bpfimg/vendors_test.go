// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/image/logins"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// vendorSteps are what people do with a registry, in the order in which it is tried
// and in that of the columns of docs/registries.md. A step that begins with "second"
// has no column: it makes the one before it "once".
var vendorSteps = []struct {
	name string
	do   func(r *vendorRig) error
}{
	{"build --push", func(r *vendorRig) error {
		return r.run("build", "--push", "-t", r.app(), "--platform", "linux/amd64", r.object)
	}},
	{"sign", func(r *vendorRig) error { return r.sign(r.app(), 0, sign.Options{}, "bundle") }},
	{"second sign", func(r *vendorRig) error { return r.sign(r.app(), 1, sign.Options{}, "bundle") }},
	{"attest", (*vendorRig).attest},
	{"sign --legacy-signature", func(r *vendorRig) error { return r.sign(r.app(), 0, sign.Options{Legacy: true}, "legacy") }},
	{"second legacy", func(r *vendorRig) error { return r.sign(r.app(), 1, sign.Options{Legacy: true}, "legacy") }},
	{"sign --recursive", func(r *vendorRig) error {
		index := r.host + "/net/index:v1"
		if err := r.run("build", "--push", "-t", index, "linux/amd64="+r.object, "linux/arm64="+r.object); err != nil {
			return err
		}
		return r.sign(index, 0, sign.Options{Recursive: true}, "bundle")
	}},
	{"verify", func(r *vendorRig) error { return r.run("verify", "--key", r.file("0.pub"), r.app()) }},
	{"copy from", func(r *vendorRig) error {
		// Into a layout, another registry and the local store.
		for _, to := range []string{"oci:" + r.file("from") + ":v1", r.elsewhere.host + "/from/port" + r.host[strings.LastIndex(r.host, ":")+1:] + ":v1", "store:" + r.app()} {
			if err := r.run("copy", r.app(), to); err != nil {
				return err
			}
		}
		return r.run("pull", r.app())
	}},
	{"copy to", func(r *vendorRig) error {
		for i, from := range []string{"oci:" + r.seed + ":v1", r.elsewhere.app()} {
			copied := fmt.Sprintf("%s/net/copied%d:v1", r.host, i)
			if err := r.run("copy", from, copied); err != nil {
				return err
			}
			if err := r.run("verify", "--key", r.seed+".pub", copied); err != nil {
				return err
			}
		}
		return nil
	}},
	{"tree", func(r *vendorRig) error { return r.run("tree", r.app()) }},
	{"ls", func(r *vendorRig) error {
		return r.wants("v1", r.run("ls", r.host+"/net/app"))
	}},
	{"run", func(r *vendorRig) error {
		// As far as it gets without privileges, and without an interface: the image has
		// been fetched and is trusted.
		err := r.run("run", "--key", r.file("0.pub"), "--iface", "nosuchif0", r.app())
		if r.code == exitPermission || r.code == exitKernel || strings.Contains(err.Error(), `no interface "nosuchif0"`) {
			return nil
		}
		return fmt.Errorf("run ended with %d: %w", r.code, err)
	}},
}

// Sentences that explain what does not work.
const (
	noList       = "needs no such list, only a tag" // the hint for a fallback tag that is something else
	otherForm    = "sign with a key and --legacy-signature"
	noAttesting  = "attestations have no other form"
	letMove      = "let the tags sha256-* be moved"
	mayNotWrite  = "log in with `bpfimg login`"
	notSigned    = "it has no signature"
	unknownType  = "unknown media type: application/vnd.dev.sigstore.bundle.v0.3+json"
	unknownClass = "unknown manifest class for application/vnd.oci.empty.v1+json"
)

// vendorLimits are the steps that do not work with a profile, with what bpfimg says.
// Everything else must work.
var vendorLimits = map[string]map[string]string{
	"gitlab": {
		"sign": noList, "second sign": noList, "attest": noList, "sign --recursive": noList, "copy to": noList,
	},
	"gitlab-old": {
		"sign": unknownType, "second sign": otherForm, "attest": noAttesting, "sign --recursive": otherForm, "copy to": otherForm,
	},
	"ecr-immutable": {"second legacy": letMove},
	"gar":           {"second legacy": letMove},
	"harbor-2.8":    {"second legacy": letMove},
	"harbor-2.10":   {"second legacy": letMove},
	"harbor-2.13":   {"second legacy": letMove},
	"hub-immutable": {"second legacy": letMove},
	"artifactory":   {"second legacy": letMove},
	"nexus-noredeploy": {
		"second sign": letMove, "attest": letMove, "second legacy": letMove,
	},
	"do-gc": {
		"sign": mayNotWrite, "second sign": mayNotWrite, "attest": mayNotWrite, "sign --legacy-signature": mayNotWrite,
		"second legacy": mayNotWrite, "sign --recursive": mayNotWrite, "copy to": mayNotWrite, "verify": notSigned, "run": notSigned,
	},
	"distribution-classes": {
		"sign": unknownClass, "second sign": otherForm, "attest": noAttesting, "sign --recursive": otherForm, "copy to": otherForm,
	},
}

// vendorNotes are the numbers under which docs/registries.md explains what bpfimg says.
var vendorNotes = map[string]int{
	noList: 1, unknownType: 2, unknownClass: 2, otherForm: 2, noAttesting: 3, mayNotWrite: 4, notSigned: 4, letMove: 5,
}

// vendorColumns are the steps in the table there; all others work with every profile.
var vendorColumns = []struct{ step, second string }{
	{"sign", "second sign"},
	{"attest", ""},
	{"sign --legacy-signature", "second legacy"},
	{"sign --recursive", ""},
	{"copy to", ""},
	{"verify", ""},
	{"run", ""},
}

// TestVendorTable: the table in the documentation is what [TestVendors] sees.
func TestVendorTable(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| profile |")
	for _, c := range vendorColumns {
		fmt.Fprintf(&table, " `%s` |", c.step)
	}
	table.WriteString("\n|---|" + strings.Repeat("---|", len(vendorColumns)) + "\n")
	for _, p := range testregistry.Profiles() {
		limits := vendorLimits[p.Name]
		fmt.Fprintf(&table, "| `%s` |", p.Name)
		for _, c := range vendorColumns {
			cell := "yes"
			if said, limited := limits[c.step]; limited {
				cell = fmt.Sprintf("no (%d)", vendorNotes[said])
			} else if said, limited := limits[c.second]; limited {
				cell = fmt.Sprintf("once (%d)", vendorNotes[said])
			}
			table.WriteString(" " + cell + " |")
		}
		table.WriteString("\n")
		for step := range limits {
			if !slices.ContainsFunc(vendorColumns, func(c struct{ step, second string }) bool { return step == c.step || step == c.second }) {
				t.Errorf("%s: the table has no column for %q", p.Name, step)
			}
		}
	}
	doc, err := os.ReadFile("../../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "\n\n"+table.String()+"\n") {
		t.Errorf("docs/registries.md does not have this table:\n%s", table.String())
	}
}

// TestVendors goes through all that people do with a registry, at each vendor's.
func TestVendors(t *testing.T) {
	t.Parallel()
	shared := newVendorRig(t, testregistry.Profile{})
	seed := filepath.Join(t.TempDir(), "seed")
	for _, err := range []error{
		shared.run("build", "--push", "-t", shared.app(), "--platform", "linux/amd64", shared.object),
		shared.sign(shared.app(), 0, sign.Options{}, "bundle"),
		shared.sign(shared.app(), 0, sign.Options{Legacy: true}, "legacy"),
		shared.run("copy", shared.app(), "oci:"+seed+":v1"),
		os.Rename(shared.file("0.pub"), seed+".pub"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range testregistry.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			r := newVendorRig(t, p)
			r.seed, r.elsewhere = seed, shared
			for _, step := range vendorSteps {
				err := step.do(r)
				switch want, limited := vendorLimits[p.Name][step.name]; {
				case !limited && err != nil:
					t.Errorf("%s: %v", step.name, err)
				case limited && err == nil:
					t.Errorf("%s works", step.name)
				case limited && !strings.Contains(err.Error(), want):
					t.Errorf("%s: %v\ndoes not say %q", step.name, err, want)
				}
			}
		})
	}
	for name, limits := range vendorLimits {
		if _, ok := testregistry.ProfileNamed(name); !ok {
			t.Errorf("there is no profile %s", name)
		}
		for step := range limits {
			if !slices.ContainsFunc(vendorSteps, func(s struct {
				name string
				do   func(r *vendorRig) error
			},
			) bool {
				return s.name == step
			}) {
				t.Errorf("%s: there is no step %q", name, step)
			}
		}
	}
}

// vendorRig is somebody with a login at a registry.
type vendorRig struct {
	t            *testing.T
	host, folder string
	// object is what is built, seed a layout with an image that has signatures of both
	// forms; the key is beside it.
	object, seed string
	// elsewhere is somebody at a registry without ways of its own, which has that
	// image too.
	elsewhere *vendorRig
	registry  *image.Registry
	signers   []signature.SignerVerifier
	// code and out are how the last command ended.
	code int
	out  string
}

func newVendorRig(t *testing.T, p testregistry.Profile) *vendorRig {
	t.Helper()
	handler, err := testregistry.New(testregistry.Options{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r := &vendorRig{t: t, host: server.Listener.Addr().String(), folder: t.TempDir()}
	if r.object, err = filepath.Abs("../../examples/xdp-counter/counter.bpf.o"); err != nil {
		t.Fatal(err)
	}
	if r.registry, err = image.NewRegistry(image.RegistryOptions{Keychain: logins.New(r.lookup)}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		// Keys in files are encrypted, which takes longer than all the rest.
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := signature.LoadECDSASignerVerifier(private, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.file(fmt.Sprintf("%d.pub", i)), public, 0o600); err != nil {
			t.Fatal(err)
		}
		r.signers = append(r.signers, signer)
	}
	return r
}

// lookup is the environment of its commands.
func (r *vendorRig) lookup(name string) (string, bool) {
	switch name {
	case "HOME":
		return r.folder, true
	case "DOCKER_AUTH_CONFIG":
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.host, base64.StdEncoding.EncodeToString([]byte("anyone:anything"))), true
	}
	return "", false
}

func (r *vendorRig) app() string { return r.host + "/net/app:v1" }

func (r *vendorRig) file(name string) string { return filepath.Join(r.folder, name) }

// oneCommand runs at a time in this process: the library has its flag for help once.
var oneCommand sync.Mutex

// run is a command, whose error is all that it printed.
func (r *vendorRig) run(args ...string) error {
	r.t.Helper()
	var out, errs bytes.Buffer
	term := &terminal{in: strings.NewReader(""), out: &out, err: &errs, lookup: r.lookup}
	oneCommand.Lock()
	defer oneCommand.Unlock()
	r.code = run(r.t.Context(), append([]string{"bpfimg", "--root", r.folder}, args...), term)
	if r.out = out.String(); r.code != exitDone {
		return errors.New(errs.String())
	}
	return nil
}

// wants fails unless the last command, which ended with err, printed text.
func (r *vendorRig) wants(text string, err error) error {
	if err == nil && !strings.Contains(r.out, text) {
		return fmt.Errorf("%q is not in what was printed: %s", text, r.out)
	}
	return err
}

// sign is `bpfimg sign` with a key that need not be decrypted, and then `bpfimg
// verify` with that key alone.
func (r *vendorRig) sign(name string, key int, opts sign.Options, form string) error {
	r.t.Helper()
	ref, err := image.ParseReference(name)
	if err != nil {
		return err
	}
	if _, err := sign.Sign(r.t.Context(), r.registry, ref, r.signers[key], opts); err != nil {
		return hinted(err)
	}
	return r.wants(form, r.run("verify", "--key", r.file(fmt.Sprintf("%d.pub", key)), "--platform", "linux/amd64", name))
}

// attest is `bpfimg attest`, and then `bpfimg tree`, which shows it.
func (r *vendorRig) attest() error {
	ref, err := image.ParseReference(r.app())
	if err != nil {
		return err
	}
	predicate, err := sign.NewPredicate("https://example.com/tested", []byte(`{"tested":true}`))
	if err != nil {
		return err
	}
	if _, err := sign.Attest(r.t.Context(), r.registry, ref, r.signers[0], predicate, sign.Options{}); err != nil {
		return hinted(err)
	}
	return r.wants("https://example.com/tested", r.run("tree", r.app()))
}

// hinted is err as a command prints it.
func hinted(err error) error { return fmt.Errorf("%w\nhint: %s", err, hint(err)) }
