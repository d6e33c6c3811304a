// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shape is what fills a document so that it costs much more than its bytes, in a list
// or in an object of it.
type shape struct {
	what string
	list func(size int) string
	// members, unless nil, are for an object; then list is not used.
	members func(size int) string
	// read: it is within the limits.
	read bool
}

func repeated(one string) func(size int) string {
	return func(size int) string {
		return strings.TrimSuffix(strings.Repeat(one+",", size/(len(one)+1)), ",")
	}
}

// shapes of documents.
var shapes = []shape{
	{what: "objects", list: repeated(`{}`)},
	{what: "strings", list: repeated(`""`)},
	{what: "brackets", list: func(size int) string {
		return strings.Repeat("[", size/2) + strings.Repeat("]", size/2)
	}},
	{what: "keys", members: func(size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size-16; i++ {
			fmt.Fprintf(&b, `"%x":"",`, i)
		}
		return b.String() + `"":""`
	}},
	{what: "as many objects as are read", read: true, list: func(size int) string {
		const one = `{"mediaType":"a","urls":[],"platform":{"os":"a"},"annotations":{"a":"b"}}`
		return repeated(one)(min(size, 32_000*(len(one)+1)))
	}},
	{what: "as many keys as are read", read: true, list: func(size int) string {
		var keys strings.Builder
		for i := range 16_000 {
			fmt.Fprintf(&keys, `"%x":"",`, i)
		}
		one := `{"annotations":{` + keys.String() + `"":""}}`
		return repeated(one)(min(size, 15*len(one)))
	}},
}

// of fills a document, in which LIST and MEMBERS stand for what is in a list and in an
// object, to about size bytes.
func (s shape) of(document string, size int) string {
	list, members := "", ""
	if s.members != nil {
		members = s.members(size - len(document))
	} else {
		list = s.list(size - len(document))
	}
	return strings.NewReplacer("LIST", list, "MEMBERS", members).Replace(document)
}

// hostileDocument is a place that documents of others are read from.
type hostileDocument struct {
	name string
	// document is filled by a [shape], to size bytes; default 4 MiB less what may
	// stand around it.
	document string
	size     int
	put      func(v *victim, document string)
	// command is what reads it; the reference comes last unless alone is true.
	command string
	alone   bool
	// want, a regular expression, is what is said of what is over the limits; default:
	// over which.
	want string
}

// documentsOf are the documents of images in a registry.
func documentsOf() []hostileDocument {
	const (
		config = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
		image  = `{"schemaVersion":2,` + config + `,"layers":[LIST],"annotations":{MEMBERS}}`
		index  = `{"schemaVersion":2,"manifests":[LIST],"annotations":{MEMBERS}}`
	)
	at := func(path, mediaType string) func(v *victim, document string) {
		return func(v *victim, document string) {
			path := strings.NewReplacer("SIG", "sha256-"+v.good.Digest.Encoded()+".sig", "ATT", attestationTag(v.good)).Replace(path)
			v.fault(path, answering(http.StatusOK, mediaType, document), 0)
		}
	}
	return []hostileDocument{
		{name: "manifest", document: image, put: at("/manifests/v1", ocispec.MediaTypeImageManifest), command: "pull"},
		{name: "index", document: index, put: at("/manifests/v1", ocispec.MediaTypeImageIndex), command: "pull"},
		{name: "referrers page", document: index, put: at("/referrers/", ocispec.MediaTypeImageIndex), command: "pull", want: "possible signatures: 1"},
		{name: "tag for signatures", document: image, size: 2 << 20, put: at("/manifests/SIG", ocispec.MediaTypeImageManifest), command: "pull", want: "possible signatures: 1"},
		{name: "tag for attestations", document: image, size: 2 << 20, put: at("/manifests/ATT", ocispec.MediaTypeImageManifest), command: "pull", want: "possible signatures: 1"},
		{name: "tag list", document: `{"name":"x","tags":[LIST],"x":{MEMBERS}}`, put: at("/tags/list", "application/json"), command: "ls {name}", alone: true},
		{
			name: "bundle", document: `{"mediaType":"` + schemas.MediaTypeBundle + `","verificationMaterial":{"tlogEntries":[LIST]},"dsseEnvelope":{MEMBERS}}`,
			size: 250 << 10, put: func(v *victim, document string) {
				v.attach(v.good, []byte(document))
				v.attach(v.good, []byte(document+" "))
			}, command: "verify --key cosign.pub", want: "is not a Sigstore bundle: its JSON has",
		},
		{
			name: "config", document: `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[LIST]},"config":{"Labels":{MEMBERS}}}`,
			put: (*victim).configure, command: "pull",
		},
		{name: "description", document: `{"schemaVersion":1,"objects":[LIST],"x":{MEMBERS}}`, size: 1 << 20, put: func(v *victim, document string) {
			v.configure(string(mustJSON(v.t, map[string]any{
				"architecture": "amd64", "os": "linux",
				"config": map[string]any{"Labels": map[string]string{schemas.LabelDescription: document}},
			})))
		}, command: "pull"},
		{name: "error", document: `{"errors":[LIST],"x":{MEMBERS}}`, size: 30 << 10, want: "answered 403", put: func(v *victim, document string) {
			v.fault("/manifests/v1", answering(http.StatusForbidden, "application/json", document), 0)
		}, command: "pull"},
		{name: "token", document: `{"token":"x","x":[LIST],"y":{MEMBERS}}`, size: 60 << 10, want: "access denied|max depth", put: func(v *victim, document string) {
			v.faults = append(v.faults, testregistry.Fault{Path: "/token/" + v.ref.Repository(), Do: answering(http.StatusOK, "application/json", document)})
			v.fault("/manifests/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+v.host+`/token/`+v.ref.Repository()+`"`)
				w.WriteHeader(http.StatusUnauthorized)
			}, 0)
		}, command: "pull"},
	}
}

// localDocuments are those of stores, layouts and archives.
func localDocuments() []hostileDocument {
	const (
		index    = `{"schemaVersion":2,"manifests":[LIST],"annotations":{MEMBERS}}`
		version  = `{"imageLayoutVersion":"1.0.0","x":[LIST],"y":{MEMBERS}}`
		complete = `{"imageLayoutVersion":"1.0.0"}`
	)
	file := func(name string) func(v *victim, document string) {
		return func(v *victim, document string) {
			for path, text := range map[string]string{"oci-layout": complete, "index.json": `{"schemaVersion":2,"manifests":[]}`, name: document} {
				path := filepath.Join(v.folder(), "store", path)
				if err := os.MkdirAll(filepath.Dir(filepath.Join(v.dir, path)), 0o700); err != nil {
					v.t.Fatal(err)
				}
				v.write(path, []byte(text))
			}
		}
	}
	archive := func(name string) func(v *victim, document string) {
		return func(v *victim, document string) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, e := range [][2]string{{"oci-layout", complete}, {"blobs/", ""}, {name, document}} {
				if name == "manifest.json" && e[0] != name {
					continue
				}
				kind := byte(tar.TypeReg)
				if strings.HasSuffix(e[0], "/") {
					kind = tar.TypeDir
				}
				if err := w.WriteHeader(&tar.Header{Typeflag: kind, Name: e[0], Size: int64(len(e[1])), Mode: 0o644}); err != nil {
					v.t.Fatal(err)
				}
				_, _ = w.Write([]byte(e[1])) // into memory
			}
			_ = w.Close() // the same
			v.write(v.tarFile(), b.Bytes())
		}
	}
	return []hostileDocument{
		{name: "index.json of the store", document: index, put: file("index.json"), command: "--root {folder} images", alone: true},
		{name: "oci-layout of the store", document: version, put: file("oci-layout"), command: "--root {folder} images", alone: true, want: "does not say imageLayoutVersion"},
		{name: "index.json of a layout", document: index, put: file("index.json"), command: "inspect oci:{folder}/store", alone: true},
		{name: "index.json of an archive", document: index, put: archive("index.json"), command: "load -i {tar}", alone: true},
		{name: "manifest.json of an archive", document: `[{"Config":"c","RepoTags":[],"Layers":[LIST],"x":{MEMBERS}}]`, put: archive("manifest.json"), command: "load -i {tar}", alone: true},
	}
}

// TestHostileDocuments: no document costs more than 64 MiB, whatever is in it and
// wherever it stands.
func TestHostileDocuments(t *testing.T) {
	m := newMeasuredCommand(t)
	for i, place := range append(documentsOf(), localDocuments()...) {
		t.Run(place.name, func(t *testing.T) {
			v := m.newVictim(t, "team/app"+strconv.Itoa(i))
			for j, s := range shapes {
				place.put(v, s.of(place.document, cmp.Or(place.size, 4<<20)))
				args := strings.Fields(strings.NewReplacer("{name}", v.ref.Name(), "{folder}", v.folder(), "{tar}", v.tarFile()).Replace(place.command))
				if !place.alone { // nothing is there yet
					args = append(append([]string{"--root", fmt.Sprintf("root%d-%d", i, j)}, args...), v.ref.String())
				}
				out, kib := m.measure(args...)
				t.Logf("%s: %d KiB more than an idle command; exit code %d: %.300s", s.what, kib-m.idle, out.code, out.stderr)
				if kib-m.idle > maxExtraMemory {
					t.Errorf("%s: took %d KiB over the %d KiB of an idle command", s.what, kib-m.idle, m.idle)
				}
				if want := cmp.Or(place.want, "has more than|with more than|max depth|deeper"); !s.read && !regexp.MustCompile(want).MatchString(out.stderr) {
					t.Errorf("%s: exit code %d, want %q:\n%s%s", s.what, out.code, want, out.stdout, out.stderr)
				}
			}
		})
	}
}

// folder is what local documents are put into, tarFile the archive they are in.
func (v *victim) folder() string { return filepath.Join("folder", v.ref.Repository()) }

func (v *victim) tarFile() string { return strings.ReplaceAll(v.ref.Repository(), "/", "-") + ".tar" }

// answering answers with a document, whatever the registry proper would.
func answering(status int, mediaType, document string) testregistry.Action {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(document)) // the client may have gone away
	}
}

// configure gives the image at v1 another config.
func (v *victim) configure(config string) {
	v.t.Helper()
	m := v.read(v.good)
	m.Config = v.blob(ocispec.MediaTypeImageConfig, []byte(config))
	v.manifest("v1", m)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
