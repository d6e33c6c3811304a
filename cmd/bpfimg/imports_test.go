// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/bpfimg/bpfimg/"

// mayImport says what each room, a package of ours, may import of ours directly.
// Tests may import more. docs/architecture.md has the same table, with what lives
// where, and [TestArchitectureTable] compares the two.
var mayImport = map[string][]string{
	"schemas":              nil,
	"schemas/document":     nil,
	"internal/atomicfile":  {"internal/joined"},
	"internal/boundedjson": {"internal/excerpt"},
	"internal/excerpt":     nil,
	"internal/joined":      nil,
	"internal/loopback":    nil,
	"internal/pause":       nil,
	"internal/btfvalue":    nil,
	"internal/lazyregexp":  nil,
	"internal/limited":     {"internal/joined"},
	"internal/ownthread":   nil,
	"bpf/inspect":          {"schemas", "internal/btfvalue"},
	"bpf/inspect/compare":  {"schemas", "bpf/inspect"},
	"bpf":                  {"schemas", "bpf/inspect", "bpf/linklist", "bpf/dispatcher", "bpf/mapdump", "bpf/probes", "bpf/kconfig", "verify", "internal/ownthread", "internal/btfvalue", "internal/atomicfile", "internal/joined", "internal/boundedjson", "internal/limited", "internal/pause"},
	"bpf/linklist":         nil,
	"bpf/dispatcher":       {"bpf/linklist", "internal/ownthread", "internal/joined"},
	"bpf/mapdump":          {"internal/btfvalue", "internal/joined"},
	"bpf/probes":           {"internal/lazyregexp"},
	"bpf/kconfig":          {"internal/btfvalue"},
	"bpf/vmtest":           nil,
	"bpf/vmtest/served":    nil,
	"bpf/vmtest/cgroups":   nil,
	"bpf/vmtest/wire":      nil,
	"image":                {"image/hosts", "image/logins", "internal/lazyregexp", "internal/atomicfile", "internal/excerpt", "internal/joined", "internal/loopback", "internal/boundedjson", "internal/limited", "internal/pause"},
	"image/hosts":          {"schemas", "schemas/document", "internal/limited", "internal/lazyregexp"},
	"image/logins":         {"internal/atomicfile", "internal/boundedjson", "internal/limited"},
	"build":                {"schemas", "schemas/document", "bpf/inspect", "image", "build/btfgen", "build/btfarchive", "internal/lazyregexp", "internal/joined"},
	"build/compile":        {"schemas", "bpf/inspect", "build", "internal/limited", "internal/lazyregexp", "internal/joined"},
	"build/btfgen":         {"bpf/inspect"},
	"build/btfarchive":     {"schemas", "internal/excerpt", "internal/joined"},
	"build/provenance":     {"schemas", "build/compile"},
	"build/sbom":           {"schemas", "build/compile"},
	"sign":                 {"schemas", "image", "sign/withcontext", "internal/joined", "internal/loopback", "internal/boundedjson", "internal/pause"},
	"sign/trustroot":       {"sign/withcontext", "internal/joined", "internal/loopback"},
	"sign/withcontext":     nil,
	"pull":                 {"schemas", "image", "internal/excerpt", "internal/boundedjson"},
	"pull/pulltest":        {"image"},
	"verify":               {"schemas", "schemas/document", "pull", "image", "bpf/inspect", "internal/limited", "internal/atomicfile", "internal/excerpt", "internal/joined", "internal/boundedjson"},
	"verify/verifytest":    {"schemas"},
	"testregistry":         {"schemas", "internal/lazyregexp", "internal/atomicfile", "internal/boundedjson", "internal/limited", "internal/pause"},
	"docs":                 nil,
	"examples":             nil,
}

// mayImportAnything are the other rooms, each with the reason why there is no list.
// They are commands, which nothing can import.
var mayImportAnything = map[string]string{
	"cmd/bpfimg":        "all rooms meet here",
	"bpf/vmtest/guest":  "a command of the tests",
	"bpf/vmtest/killer": "a command of the tests",
	"bpf/vmtest/racer":  "a command of the tests",
	"bpf/vmtest/suite":  "a command of the tests",
	"bench":             "a command that measures",
	"bench/bareloader":  "a command that measures",
	"bench/chaincost":   "a command that measures",
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

// systems are those whose code is looked at: some packages and some imports are on
// one of them only.
func systems() []string { return []string{"linux", "darwin", "windows"} }

// roomsOf are the packages of the module on each system, with everything that they
// import, without tests.
var roomsOf = sync.OnceValues(func() (map[string]map[string][]string, error) {
	all := map[string]map[string][]string{}
	for _, goos := range systems() {
		cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("listing the packages on %s: %w", goos, err)
		}
		all[goos] = map[string][]string{}
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			all[goos][strings.TrimPrefix(words[0], module)] = words[1:]
		}
	}
	return all, nil
})

// eachRoom calls look for every package of the module on every system, with what it
// imports.
func eachRoom(t *testing.T, look func(goos, room string, imports []string)) {
	t.Helper()
	all, err := roomsOf()
	if err != nil {
		t.Fatal(err)
	}
	for _, goos := range systems() {
		if len(all[goos]) == 0 {
			t.Fatalf("no packages on %s", goos)
		}
		for _, room := range slices.Sorted(maps.Keys(all[goos])) {
			look(goos, room, all[goos][room])
		}
	}
}

func TestImportsOfRooms(t *testing.T) {
	eachRoom(t, func(goos, room string, imports []string) {
		allowed, ruled := mayImport[room]
		for _, dep := range imports {
			ours, ok := strings.CutPrefix(dep, module)
			if ok && ruled && !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s imports %s, which neither mayImport nor docs/architecture.md allows", goos, room, ours)
			}
			if strings.HasPrefix(dep, "github.com/urfave/cli") && room != "cmd/bpfimg" {
				t.Errorf("%s: %s imports the command-line library", goos, room)
			}
		}
	})
}

// TestEveryRoomHasARule: a package that nobody has thought about may import
// anything, and one that is gone may come back as something else.
func TestEveryRoomHasARule(t *testing.T) {
	found := map[string]bool{}
	eachRoom(t, func(goos, room string, _ []string) {
		_, ruled := mayImport[room]
		_, free := mayImportAnything[room]
		if !ruled && !free {
			t.Errorf("%s: package %s has no rule: say what it may import in mayImport, here, and in the table of docs/architecture.md", goos, room)
		}
		if ruled && free {
			t.Errorf("%s: package %s is in mayImport and in mayImportAnything: take it out of one", goos, room)
		}
		found[room] = true
	})
	for _, room := range slices.Concat(slices.Sorted(maps.Keys(mayImport)), slices.Sorted(maps.Keys(mayImportAnything))) {
		if !found[room] {
			t.Errorf("there is a rule for %s and no such package: take it out of the table here and out of docs/architecture.md", room)
		}
	}
}

// TestAllowedImportsAreUsed: what nobody imports any more need not be allowed.
func TestAllowedImportsAreUsed(t *testing.T) {
	used := map[[2]string]bool{}
	eachRoom(t, func(_, room string, imports []string) {
		for _, dep := range imports {
			used[[2]string{room, strings.TrimPrefix(dep, module)}] = true
		}
	})
	for _, room := range slices.Sorted(maps.Keys(mayImport)) {
		for _, dep := range mayImport[room] {
			if !used[[2]string{room, dep}] {
				t.Errorf("%s may import %s and does so on none of %s: take it out of mayImport, here, and out of the table of docs/architecture.md",
					room, dep, strings.Join(systems(), ", "))
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
