// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseReference(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"busybox", "docker.io/library/busybox:latest"},
		{"busybox:1.36", "docker.io/library/busybox:1.36"},
		{"docker.io/busybox", "docker.io/library/busybox:latest"},
		{"index.docker.io/library/busybox", "docker.io/library/busybox:latest"},
		{"user/image", "docker.io/user/image:latest"},
		{"localhost/image", "localhost/image:latest"},
		{"localhost:5000/a/b:v1", "localhost:5000/a/b:v1"},
		{"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"},
		{"[::1]:5000/a:v1", "[::1]:5000/a:v1"},
		{"ghcr.io/a/b_c/d__e-f.g:V_1.0-x", "ghcr.io/a/b_c/d__e-f.g:V_1.0-x"},
		{"ghcr.io/a@" + someDigest, "ghcr.io/a@" + someDigest},
		{"ghcr.io/a:v1@" + someDigest, "ghcr.io/a:v1@" + someDigest},
		{"REG.example/a", "REG.example/a:latest"},
	}
	for _, tt := range tests {
		ref, err := ParseReference(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if ref.String() != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, ref, tt.want)
		}
		if again := mustParse(t, ref.String()); again != ref {
			t.Errorf("%s: parsed again it is %#v, not %#v", tt.in, again, ref)
		}
	}
}

func TestParseReferenceErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"", "empty"},
		{"https://ghcr.io/a", `drop the leading "https://"`},
		{"oci://ghcr.io/a", `drop the leading "oci://"`},
		{"ghcr.io/A/b", "lower-case"},
		{"MyOrg/app", "lower-case"},
		{"ghcr.io/a b", "space"},
		{"ghcr.io/a\n", "space"},
		{"ghcr.io/a\x1b[31m", "only ASCII"},
		{"ghcr.io/ä", "only ASCII"},
		{"ghcr.io/a:", "tag after the colon is empty"},
		{"ghcr.io/a:-x", "not start with"},
		{"ghcr.io/a:" + strings.Repeat("x", 129), "tag is longer"},
		{"ghcr.io/a@", "must be sha256"},
		{"ghcr.io/a@sha384:" + strings.Repeat("0", 96), `"sha384" is not supported`},
		{"ghcr.io/a@sha512:" + strings.Repeat("0", 64), `must be sha512: and 128 lower-case hex digits`},
		{"ghcr.io/a@sha256:" + strings.Repeat("0", 128), `must be sha256: and 64 lower-case hex digits`},
		{"ghcr.io/a@sha256:123", "64 lower-case hex"},
		{"ghcr.io/a@" + strings.ToUpper(someDigest), `"SHA256" is not supported`},
		{"ghcr.io/a@" + someDigest + "@" + someDigest, "64 lower-case hex"},
		{"ghcr.io/", "no repository"},
		{"ghcr.io/a//b", "empty part"},
		{"ghcr.io/../b", `".."`},
		{"ghcr.io/a/-b", `"-b"`},
		{"ghcr.io:99999/a", "port"},
		{"ghcr.io:0/a", "port"},
		{"user:pass@ghcr.io/a", "must be sha256"},
		{"ghcr.io:x/a", "not a registry host"},
		{"-ghcr.io/a", "not a registry host"},
		{"ghcr.io/" + strings.Repeat("a", 250), "longer than 255"},
		{strings.Repeat("a", 10000), "longer than"},
	}
	for _, tt := range tests {
		_, err := ParseReference(tt.in)
		if !errors.Is(err, ErrReference) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want ErrReference with %q", tt.in, err, tt.want)
			continue
		}
		if len(err.Error()) > 2*maxReferenceLength {
			t.Errorf("%.20q: the error is %d bytes long", tt.in, len(err.Error()))
		}
	}
}

func TestReferenceParts(t *testing.T) {
	t.Parallel()
	ref := mustParse(t, "localhost:5000/a/b:v1@"+someDigest)
	got := []string{ref.Registry(), ref.Repository(), ref.Name(), ref.Tag(), ref.Digest(), ref.WithTag("v2").String(), ref.WithDigest(someDigest).String()}
	want := []string{"localhost:5000", "a/b", "localhost:5000/a/b", "v1", someDigest, "localhost:5000/a/b:v2", "localhost:5000/a/b@" + someDigest}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
	text, err := json.Marshal(map[Reference]Reference{ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	var back map[Reference]Reference
	if err := json.Unmarshal(text, &back); err != nil || back[ref] != ref {
		t.Errorf("JSON %s came back as %v, %v", text, back, err)
	}
	if err := json.Unmarshal([]byte(`"A b"`), &ref); !errors.Is(err, ErrReference) {
		t.Errorf("got %v, want ErrReference", err)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"a", "localhost:5000/a/b:v1@" + someDigest, "[::1]:1/a", "https://x/y", "a:b:c/d@e", "ghcr.io/A", "0A0/0", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			if ref != (Reference{}) || !errors.Is(err, ErrReference) {
				t.Fatalf("%q: %v with %#v", s, err, ref)
			}
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q: %q parsed again is %#v, %v", s, ref, again, err)
		}
		if err := ref.check(); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if _, err := testRepository(ref); err != nil {
			t.Fatalf("%q: the registry library does not take it: %v", s, err)
		}
	})
}
