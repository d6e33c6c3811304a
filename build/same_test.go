// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/schemas"
)

// rich are options with several entries in each map.
func rich(created time.Time) build.Options {
	many := map[string]string{}
	for _, k := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		many["org.example."+k] = k
	}
	return build.Options{
		File: schemas.BuildFile{
			Name: "rich", Version: "v2", Labels: many, Annotations: maps.Clone(many),
			Programs: map[string]schemas.ProgramDefaults{
				"tc_ingress": {Attach: "tc,direction=ingress,priority=5,handle=1"},
				"tc_egress":  {Attach: "tc:eth0,direction=egress,priority=6"},
			},
		},
		Labels:  map[string]string{"org.example.a": "A", "x": "y"},
		Created: created,
	}
}

func richDigest(t *testing.T, created time.Time) string {
	t.Helper()
	_, result := mustBuild(t, rich(created), object(t, counterObject), object(t, bytesObject))
	return result.Manifest.Descriptor.Digest.String()
}

func TestSameDigest(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 29, 23, 30, 0, 0, time.UTC)
	want := richDigest(t, at)
	for range 20 { // as many orders of the maps
		if got := richDigest(t, at); got != want {
			t.Fatalf("digest %s, before %s", got, want)
		}
	}
	if got := richDigest(t, at.In(time.FixedZone("UTC+9", 9*3600)).Add(time.Millisecond)); got != want {
		t.Errorf("another time zone gives digest %s, want %s", got, want)
	}
	if got := richDigest(t, at.Add(time.Second)); got == want {
		t.Error("another creation time gives the same digest")
	}
}

// TestSameDigestElsewhere builds in other processes, with other surroundings.
func TestSameDigestElsewhere(t *testing.T) {
	t.Parallel()
	const question = "BPFIMG_TEST_PRINT_DIGEST"
	at := time.Unix(1700000000, 0)
	_, index := mustIndex(t, rich(at), threePlatforms(t)...)
	want := richDigest(t, at) + "," + index.Manifest.Descriptor.Digest.String()
	if os.Getenv(question) != "" {
		_, _ = os.Stdout.WriteString("digest=" + want + "\n")
		return
	}
	for _, shell := range []string{"umask 077; TZ=Asia/Tokyo", "umask 000; TZ=America/St_Johns LC_ALL=tr_TR.UTF-8 HOME=/nonexistent"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", shell+` exec "$0" "$@"`, os.Args[0], "-test.run=^TestSameDigestElsewhere$")
		cmd.Env = append(os.Environ(), question+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !strings.Contains(string(out), "digest="+want+"\n") {
			t.Errorf("with %s: got %s, want digest %s", shell, out, want)
		}
	}
}

// TestNameIsNoInput: one build under two names is one image.
func TestNameIsNoInput(t *testing.T) {
	t.Parallel()
	var digests []string
	for _, name := range []string{"localhost:5000/net/a:v1", "registry.example/b@sha256:" + strings.Repeat("0", 64)} {
		result, err := build.Build(t.Context(), &memory{}, reference(t, name), []build.Input{object(t, counterObject)}, build.Options{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, result.Manifest.Descriptor.Digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("two names give the digests %v", digests)
	}
}
