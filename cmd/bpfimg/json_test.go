// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// withoutJSON are the commands that have no -o json, and why.
var withoutJSON = map[string]string{
	"completion":        "prints a script",
	"generate-key-pair": "writes files",
	"manifest":          "prints JSON anyway, as it is stored",
	"policy default":    "prints a YAML document",
	"public-key":        "prints PEM",
	"registry serve":    "is for people who try things; it runs until interrupted",
	"schema":            "prints JSON anyway",
	"tag":               "prints nothing",
}

// TestEveryCommandHasJSON keeps scripts possible: what is printed can be had as JSON.
func TestEveryCommandHasJSON(t *testing.T) {
	eachCommand(newApp(&terminal{lookup: os.LookupEnv}), func(path []*cli.Command) {
		c, name := path[len(path)-1], fullName(path)
		if len(c.Subcommands) == 0 && (findFlag(c.Flags, "output") != nil) == (withoutJSON[name] != "") {
			t.Errorf("%s: has -o json: %t, a reason not to: %q", name, findFlag(c.Flags, "output") != nil, withoutJSON[name])
		}
	})
}

// TestJSONIsOneDocument runs commands with -o json, in an order that lets one find
// what the other left: one document on standard output, whatever else is said. Those on the
// kernel have theirs in the scripts.
func TestJSONIsOneDocument(t *testing.T) {
	t.Setenv("BPFIMG_ROOT", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	code, text, stderr := typed(t, "bpfimg policy default")
	if code != exitDone {
		t.Fatal(stderr)
	}
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	object, ref, bundle := "../../examples/xdp-counter/counter.bpf.o", "localhost:1/xdp-counter:v1", filepath.Join(dir, "bundle.tar")
	for _, test := range []struct {
		line string
		code int
	}{
		{"version", exitDone},
		{"images", exitDone},
		{"inspect " + object, exitDone},
		{"diff " + object + " ../../examples/xdp-filter/filter.bpf.o", exitDone},
		{"build -t " + ref + " " + object, exitDone},
		{"images", exitDone},
		{"inspect " + ref, exitDone},
		{"tree store:" + ref, exitDone},
		{"ls store:localhost:1/xdp-counter", exitDone},
		{"copy store:" + ref + " oci:" + filepath.Join(dir, "layout") + ":v1", exitDone},
		{"save -o " + bundle + " store:" + ref, exitDone},
		{"load -i " + bundle, exitDone},
		{"policy check " + policy, exitDone},
		{"policy explain --policy " + policy + " --pull never " + ref, exitNotTrusted},
		{"verify --policy " + policy + " --pull never " + ref, exitNotTrusted},
		{"store check", exitDone},
		{"logout localhost:1", exitDone},
		{"rm " + ref, exitDone},
		{"prune --now", exitDone},
	} {
		flag := " --output json"
		if strings.HasPrefix(test.line, "save ") {
			flag = " --format json" // --output is the file
		}
		code, stdout, stderr := typed(t, "bpfimg "+test.line+flag)
		if code != test.code || !json.Valid([]byte(stdout)) || !strings.HasSuffix(stdout, "\n") {
			t.Errorf("bpfimg %s --output json: exit code %d, want %d\n%s%s", test.line, code, test.code, stdout, stderr)
		}
	}
}
