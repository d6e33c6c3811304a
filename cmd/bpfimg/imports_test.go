// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bpfimg/bpfimg/"

// mayImport is the table of docs/architecture.md: what each room may import of
// ours, directly. The reason stands there.
var mayImport = map[string][]string{
	"internal/atomicfile": {"internal/joined"},
	"internal/excerpt":    nil,
	"internal/joined":     nil,
	"internal/lazyregexp": nil,
	"internal/limited":    nil,
	"internal/loopback":   nil,
	"internal/ownthread":  nil,
	"schemas/document":    nil,
	"sign/withcontext":    nil,
	"schemas":             nil,
	"bpf/inspect":         {"schemas"},
	"bpf/inspect/compare": {"schemas", "bpf/inspect"},
	"bpf/mapdump":         nil,
	"bpf/linklist":        nil,
	"bpf/dispatcher":      {"bpf/linklist", "internal/ownthread", "internal/joined"},
	"bpf/probes":          {"internal/lazyregexp"},
	"bpf":                 {"schemas", "bpf/inspect", "bpf/linklist", "bpf/dispatcher", "bpf/mapdump", "bpf/probes", "bpf/varset", "bpf/kconfig", "verify", "internal/ownthread", "internal/joined", "internal/atomicfile"},
	"bpf/varset":          {"bpf/inspect"},
	"bpf/kconfig":         {"bpf/inspect", "bpf/varset"},
	"bpf/vmtest":          nil,
	"image":               {"schemas", "image/hosts", "image/logins", "internal/lazyregexp", "internal/joined", "internal/atomicfile", "internal/excerpt", "internal/loopback"},
	"image/hosts":         {"schemas", "internal/limited", "schemas/document", "internal/lazyregexp"},
	"image/logins":        {"internal/atomicfile"},
	"build":               {"schemas", "bpf/inspect", "image", "build/btfgen", "build/btfarchive", "schemas/document", "internal/lazyregexp", "internal/joined"},
	"build/btfgen":        {"bpf/inspect"},
	"build/btfarchive":    {"schemas", "internal/joined", "internal/excerpt"},
	"build/compile":       {"schemas", "bpf/inspect", "build", "internal/limited", "internal/lazyregexp", "internal/joined"},
	"build/provenance":    {"schemas", "build/compile"},
	"build/sbom":          {"schemas", "build/compile"},
	"sign":                {"schemas", "image", "sign/withcontext", "internal/joined", "internal/loopback"},
	"sign/trustroot":      {"sign/withcontext", "internal/joined", "internal/loopback"},
	"pull":                {"schemas", "image", "internal/excerpt"},
	"pull/pulltest":       {"image"},
	"verify":              {"schemas", "schemas/document", "pull", "bpf/inspect", "image", "internal/limited", "internal/joined", "internal/atomicfile", "internal/excerpt"},
	"verify/verifytest":   {"schemas"},
	"testregistry":        {"schemas", "internal/lazyregexp", "internal/atomicfile"},
}

// forbidden is what a node must not link, and why.
var forbidden = map[string]string{
	"k8s.io/":                                         "40 MB of Kubernetes for nothing a node does",
	"cloud.google.com/":                               "a cloud SDK",
	"github.com/aws/aws-sdk-go":                       "a cloud SDK",
	"github.com/Azure/":                               "a cloud SDK",
	"github.com/sigstore/cosign/v2/cmd/":              "cosign's command line brings every cloud SDK",
	"github.com/sigstore/cosign/v2/pkg/signature":     "brings 271 Kubernetes packages",
	"github.com/sigstore/cosign/v2/pkg/cosign/fulcio": "talks to a service; a node decides offline",
	"github.com/cilium/ebpf/rlimit":                   "makes a BPF map whenever a process starts, whatever the command",
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}

func TestImportsOfRooms(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Setenv("GOOS", goos)
		t.Setenv("CGO_ENABLED", "0")
		for room, allowed := range mayImport {
			for _, dep := range goList(t, "-f", `{{join .Imports "\n"}}`, module+room) {
				ours, ok := strings.CutPrefix(dep, module)
				if ok && !slices.Contains(allowed, ours) {
					t.Errorf("%s: %s imports %s, which docs/architecture.md does not allow", goos, room, ours)
				}
				if strings.HasPrefix(dep, "github.com/urfave/cli") {
					t.Errorf("%s: %s imports the command-line library", goos, room)
				}
			}
		}
	}
}

// TestNodeSignsNothing: what decides and runs on a node does not ask services, run
// key plugins or update trust by itself, and cannot by mistake.
func TestNodeSignsNothing(t *testing.T) {
	for _, room := range []string{"image", "pull", "verify", "bpf"} {
		for _, dep := range goList(t, "-deps", module+room) {
			for _, not := range []string{
				module + "sign", "github.com/sigstore/sigstore-go/pkg/sign", "github.com/sigstore/rekor-tiles/v2/pkg/client",
				"github.com/sigstore/sigstore/pkg/signature/kms",
			} {
				if dep == not || strings.HasPrefix(dep, not+"/") {
					t.Errorf("%s links %s", room, dep)
				}
			}
		}
	}
}

func TestNothingHeavyIsLinked(t *testing.T) {
	for _, dep := range goList(t, "-deps", module+"cmd/bpfimg") {
		if strings.HasPrefix(dep, "k8s.io/klog/") {
			continue // a logger that certificate-transparency-go, below sigstore-go, links; not Kubernetes
		}
		for prefix, why := range forbidden {
			if strings.HasPrefix(dep, prefix) {
				t.Errorf("the binary links %s: %s", dep, why)
			}
		}
	}
}

// TestEveryDependencyHasAReason reads go.mod and docs/dependencies.md.
func TestEveryDependencyHasAReason(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range goList(t, "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all") {
		if !strings.Contains(string(doc), "| "+m+" |") {
			t.Errorf("docs/dependencies.md gives no reason for %s", m)
		}
	}
}
