// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package image

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// The environment of the helper processes, which are this test binary again.
const (
	envHelper = "BPFIMG_TEST_HELPER"
	envDir    = "BPFIMG_TEST_DIR"
	envNumber = "BPFIMG_TEST_NUMBER"
)

// helperTags is how many images one helper process stores.
const helperTags = 10

func helper(t *testing.T, name, dir string, number int) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), envHelper+"="+name, envDir+"="+dir, envNumber+"="+strconv.Itoa(number))
	return cmd
}

// TestHelperProcess is no test: it is what the helper processes run.
func TestHelperProcess(t *testing.T) {
	name := os.Getenv(envHelper)
	if name == "" {
		t.Skip("SKIP-REASON: runs only as a helper process of other tests")
	}
	number, err := strconv.Atoi(os.Getenv(envNumber))
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, os.Getenv(envDir))
	switch name {
	case "tags":
		for i := range helperTags {
			newImage(t, fmt.Sprint(number, i), nil).put(t, s, mustParse(t, fmt.Sprintf("localhost/p%d:v%d", number, i)))
		}
	case "kill": // dies at step number of storing an image
		s.step = killAfter(number)
		newImage(t, "new", nil).put(t, s, mustParse(t, "localhost/a:v1"))
	case "killeach": // the same, where a file system cannot be synced as a whole
		s.openDisk = noDisk
		s.step = killAfter(number)
		newImage(t, "new", nil).put(t, s, mustParse(t, "localhost/a:v1"))
	case "killcopy": // the same, of an index with what is attached, in place of the old image
		src := newTree(t).Store
		s.step = killAfter(number)
		ref := mustParse(t, "localhost/a:v1")
		if _, err := Copy(t.Context(), s, ref, src, ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
	case "killshare": // the same, of downloading and keeping it
		s.step = killAfter(number)
		ref := mustParse(t, "localhost/a:v1")
		shared := s.Share(&oneImage{im: newImage(t, "new", nil)}, ShareOptions{})
		if _, err := Copy(t.Context(), s, ref, shared, ref, CopyOptions{}); err != nil {
			t.Fatal(err)
		}
	case "hold": // downloads for ever
		src := &oneImage{im: newImage(t, "new", nil), before: func() error {
			fmt.Println("downloading")
			time.Sleep(time.Hour) // select {} would be ended as a deadlock
			return nil
		}}
		_, _ = s.Share(src, ShareOptions{}).Blob(t.Context(), mustParse(t, "localhost/a:v1"), src.im.descs[1], MaxLayer) // is killed
	}
}

// killAfter ends this process at a step of a write, of which several may go on.
func killAfter(number int) func(string) error {
	var done atomic.Int64
	return func(string) error {
		if done.Add(1) > int64(number) {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
}

// TestManyProcesses: names written at the same time are all kept.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const processes = 4
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			if out, err := helper(t, "tags", s.dir, p).CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", p, err, out)
			}
		})
	}
	for i := range helperTags {
		wg.Go(func() {
			if err := newImage(t, fmt.Sprint("g", i), nil).tryPut(t.Context(), s, mustParse(t, fmt.Sprintf("localhost/g:v%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := s.List(t.Context())
	if err != nil || len(list) != (processes+1)*helperTags {
		t.Errorf("got %d names, %v, want %d", len(list), err, (processes+1)*helperTags)
	}
}

// TestKilledAtEveryStep: whenever a writer dies, the store works, has the old or
// the new image, and takes the new one afterwards.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, writer := range []string{"kill", "killeach", "killshare"} {
		t.Run(writer, func(t *testing.T) {
			t.Parallel()
			killAtEveryStep(t, writer)
		})
	}
}

func killAtEveryStep(t *testing.T, writer string) {
	ref := mustParse(t, "localhost/a:v1")
	before, after := newImage(t, "old", nil), newImage(t, "new", nil)
	for step := 0; ; step++ {
		s := newStore(t)
		before.put(t, s, ref)
		err := helper(t, writer, s.dir, step).Run()
		m, readErr := s.Manifest(t.Context(), ref)
		if readErr != nil {
			t.Fatalf("step %d: %v", step, readErr)
		}
		got := before
		if m.Descriptor.Digest == after.manifest.Descriptor.Digest {
			got = after
		}
		got.check(t, s, ref)
		after.put(t, s, ref)
		after.check(t, s, ref)
		if report, err := s.Check(t.Context()); err != nil || len(report.Problems) != 0 {
			t.Errorf("step %d: %+v, %v", step, report.Problems, err)
		}
		if err == nil {
			if got.manifest.Descriptor.Digest != after.manifest.Descriptor.Digest || step < 10 {
				t.Errorf("the last of %d steps left %s", step, m.Descriptor.Digest)
			}
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(exit.Error(), "killed") {
			t.Fatalf("step %d: the helper was not killed: %v", step, err)
		}
	}
}

// TestKilledWhileDownloading: the lock dies with its holder, and who waited for it
// downloads instead.
func TestKilledWhileDownloading(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	holder := helper(t, "hold", s.dir, 0)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	src := &oneImage{im: newImage(t, "new", nil)}
	shared := &sharedSource{store: s, src: src, patience: time.Millisecond, waiting: func(Reference, digest.Digest) {
		if err := holder.Process.Kill(); err != nil {
			t.Error(err)
		}
	}}
	data, err := shared.Blob(t.Context(), mustParse(t, "localhost/a:v1"), src.im.descs[1], MaxLayer)
	if err != nil || string(data) != string(src.im.layer) {
		t.Errorf("got %q, %v", data, err)
	}
	_ = holder.Wait() // killed on purpose
}

// TestFailureAtEveryStep: an error leaves no file behind and the store works.
func TestFailureAtEveryStep(t *testing.T) {
	t.Parallel()
	ref := mustParse(t, "localhost/a:v1")
	broken := errors.New("broken disk")
	before, after := newImage(t, "old", nil), newImage(t, "new", nil)
	for fail := 0; ; fail++ {
		s := newStore(t)
		before.put(t, s, ref)
		n := 0
		s.step = func(string) error {
			if n++; n > fail {
				return broken
			}
			return nil
		}
		err := after.tryPut(t.Context(), s, ref)
		s.step = nil
		if entries, dirErr := os.ReadDir(s.dir + "/tmp"); dirErr != nil || len(entries) != 0 {
			t.Errorf("step %d left %v, %v", fail, entries, dirErr)
		}
		if _, readErr := s.Manifest(t.Context(), ref); readErr != nil {
			t.Errorf("step %d: %v", fail, readErr)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("step %d: got %v", fail, err)
		}
	}
}

// TestDiskFull writes to a file system that really is full.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIP-REASON: needs the right to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := openStore(t, dir+"/store")
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "small", nil)
	im.put(t, s, ref)
	big := []byte(strings.Repeat("x", 1<<20))
	err := s.PutBlob(t.Context(), ref, describe(ocispec.MediaTypeImageLayer, big), big, "")
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), s.dir) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("got %v, want ENOSPC naming %s", err, s.dir)
	}
	im.check(t, s, ref)
	other := newImage(t, "other", nil)
	other.put(t, s, ref)
	other.check(t, s, ref)
}
