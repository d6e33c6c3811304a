// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
	"github.com/bpfimg/bpfimg/testregistry"
)

// onlyScripts chooses scripts while one works on them.
var onlyScripts = flag.String("scripts", "", "run only the scripts whose names match this pattern, and not the hook suite")

// full is for when time matters less, as in `make test-kernels`.
var full = flag.Bool("full", false, "call the binary that ships for every row of the hook suite, and repeat in scripts what is repeated as often as it can matter")

// guestArgs are those of the first process.
func guestArgs() []string {
	if *full {
		return []string{"-full"}
	}
	return nil
}

// guestFiles are bpfimg, the hook suite, the scripts, the examples, and what was
// made of them.
func guestFiles(t *testing.T, bpfimg string) map[string]vmtest.File {
	t.Helper()
	files := map[string]vmtest.File{
		"/bin/bpfimg": {Path: bpfimg, Executable: true},
		"/bin/suite":  {Path: goBuild(t, "./suite"), Executable: true},
		"/bin/racer":  {Path: goBuild(t, "./racer", stripped), Executable: true},
		"/bin/killer": {Path: goBuild(t, "./killer", stripped), Executable: true},
	}
	if !*full {
		files[vmtest.ServedPath] = vmtest.File{Path: goTestBinary(t, "../../cmd/bpfimg"), Executable: true}
	}
	if inScripts(t, "bpf.test") {
		files["/bin/bpf.test"] = vmtest.File{Path: goTestBinary(t, "../../bpf"), Executable: true}
	}
	scripts, err := filepath.Glob("testdata/scripts/" + cmp.Or(*onlyScripts, "*") + ".txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("found %d scripts: %v", len(scripts), err)
	}
	for _, name := range scripts {
		files["/scripts/"+filepath.Base(name)] = vmtest.File{Path: name}
	}
	if *onlyScripts != "" {
		delete(files, "/bin/suite")
		delete(files, vmtest.ServedPath)
	}
	addForeign(t, files)
	addTree(t, files, "/src/examples", "../../examples")
	addTree(t, files, "/src/bpf/testdata", "../testdata")
	keys, registry := published(t, bpfimg)
	addTree(t, files, "/keys", keys)
	addTree(t, files, "/registry", registry)
	return files
}

// foreign are other people's tools that take part in scripts, as Debian's packages
// xdp-tools and bpftool install them. A script skips itself when its tool is not
// here; who chooses kernels, as CI does, must have all.
var foreign = []string{"/usr/sbin/xdp-loader", "/usr/sbin/bpftool"}

// dispatchers is what libxdp loads to share an interface.
const dispatchers = "/usr/lib/*/bpf/xdp-dispatcher.o"

// addForeign adds the tools of other people that are here, with what they need.
func addForeign(t *testing.T, files map[string]vmtest.File) {
	t.Helper()
	for _, program := range foreign {
		if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
			if os.Getenv("BPFIMG_TEST_KERNELS") != "" {
				t.Fatalf("%s is not here: .ci/install installs it", program)
			}
			continue
		}
		needs, err := vmtest.Dynamic(program)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(files, needs)
	}
	objects, err := filepath.Glob(dispatchers)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		files[object] = vmtest.File{Path: object}
	}
}

// inScripts says whether chosen scripts have a word; all do when none is chosen.
func inScripts(t *testing.T, word string) bool {
	t.Helper()
	if *onlyScripts == "" {
		return true
	}
	scripts, err := filepath.Glob("testdata/scripts/" + *onlyScripts + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(scripts, func(script string) bool {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), word)
	})
}

func addTree(t *testing.T, files map[string]vmtest.File, at, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[at+"/"+filepath.ToSlash(name)] = vmtest.File{Path: path}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// notBuilt are the objects of bpf/testdata that no image is made of: what they are
// for is to be refused.
var notBuilt = []string{"counter_eb", "dispatcher_v1", "nogpl", "rejected", "unknown_section"}

// testObjects are the files of bpf/testdata and the examples, by name without
// ".bpf.o".
func testObjects(t *testing.T) map[string]string {
	t.Helper()
	objects := map[string]string{}
	for _, pattern := range []string{"../testdata/*.bpf.o", "../../examples/*/*.bpf.o"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("found %d objects %s: %v", len(paths), pattern, err)
		}
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), ".bpf.o")
			if slices.Contains(notBuilt, name) {
				continue
			}
			if objects[name] != "" {
				t.Fatalf("%s and %s have the same name", objects[name], path)
			}
			if path, err = filepath.Abs(path); err != nil {
				t.Fatal(err)
			}
			objects[name] = path
		}
	}
	return objects
}

// updated is the test object of which there is another image too, v2.
const updated = "chain_pass"

// publish does on the host, with the same binary, what people do in CI: every
// example is built, pushed to a registry as NAME:v1 and signed by the key
// cosign.key; NAME:unsigned has another digest and no signature. What the hook
// suite runs becomes testdata/NAME:v1. It returns the folders of the keys (cosign.*, other.*)
// and of the registry's content. Nothing of this depends on the kernel, and
// decrypting one private key takes ten seconds on an emulated processor.
func publish(t *testing.T, root, bpfimg string) (keys, registry string) {
	t.Helper()
	keys, registry = filepath.Join(root, "keys"), filepath.Join(root, "registry")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	handler, err := testregistry.New(testregistry.Options{Dir: registry})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	call := func(args ...string) error {
		cmd := exec.CommandContext(t.Context(), bpfimg, args...)
		cmd.Dir = keys
		cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=test", "BPFIMG_ROOT="+filepath.Join(root, "state"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("bpfimg %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := errors.Join(call("generate-key-pair"), call("generate-key-pair", "--output-key-prefix", "other")); err != nil {
		t.Fatal(err)
	}
	var builds errgroup.Group
	builds.SetLimit(runtime.NumCPU())
	run := func(args ...string) { builds.Go(func() error { return call(args...) }) }
	objects, err := filepath.Glob("../../examples/*/*.bpf.o")
	if err != nil || len(objects) == 0 {
		t.Fatalf("found %d example objects: %v", len(objects), err)
	}
	for _, object := range objects {
		if object, err = filepath.Abs(object); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(object)
		image := strings.TrimPrefix(server.URL, "http://") + "/" + filepath.Base(dir)
		file := filepath.Join(dir, "bpfimg.yaml")
		run("build", "--push", "--sign", "--key", "cosign.key", "-t", image+":v1", "-f", file, object)
		run("build", "--push", "--label", "signed=no", "-t", image+":unsigned", "-f", file, object)
	}
	for name, object := range testObjects(t) {
		if !inScripts(t, name) {
			continue
		}
		image := strings.TrimPrefix(server.URL, "http://") + "/testdata/" + name
		run("build", "--push", "--sign", "--key", "cosign.key", "-t", image+":v1", object)
		if name == updated {
			run("build", "--push", "--sign", "--key", "cosign.key", "--label", "second=yes", "-t", image+":v2", object)
		}
	}
	if err := builds.Wait(); err != nil {
		t.Fatal(err)
	}
	return keys, registry
}
