// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Objects of the tracing tests: each program counts in one entry of map "hits".
const (
	objRawTP  = "testdata/rawtp.bpf.o"
	objFentry = "testdata/fentry.bpf.o"
	objLSM    = "testdata/lsm.bpf.o"
	objUprobe = "testdata/uprobe.bpf.o"
)

// events are how often each test makes its event happen.
const events = 3

// TestTracing runs each hook: load, attach, events, their count, stop.
func TestTracing(t *testing.T) {
	libc, self := libcPath(t), selfTarget(t)
	for name, tc := range map[string]struct {
		object string
		attach []string
		event  func(*testing.T)
		// exact is false where others on the machine cause events, too.
		exact bool
		want  []int
		// refused is set where a kernel may be built without.
		refused bool
	}{
		"raw_tracepoint and tp_btf by section": {object: objRawTP, event: execute, want: []int{events, events}},
		"raw_tracepoint elsewhere":             {object: objRawTP, attach: []string{"count_raw=raw_tracepoint:sys_enter", "count_btf=none"}, event: removeFile, want: []int{events, 0}},
		"tp_btf elsewhere":                     {object: objRawTP, attach: []string{"count_btf=tp_btf:sys_enter", "count_raw=none"}, event: removeFile, want: []int{0, events}},
		"fentry, fexit, fmod_ret":              {object: objFentry, event: removeFile, want: []int{events, events, events}, refused: true},
		"fentry elsewhere":                     {object: objFentry, attach: []string{"count_entry=fexit:vfs_mkdir", "count_exit=none", "count_check=none"}, event: makeFolder, want: []int{events, 0, 0}, refused: true},
		"lsm":                                  {object: objLSM, event: removeFile, want: []int{events}, refused: true},
		"uprobe and uretprobe by offset":       {object: objUprobe, attach: []string{"count_call=uprobe:" + self, "count_return=uretprobe:" + self}, event: callProbed, exact: true, want: []int{events, events}},
		"uprobe of this process":               {object: objUprobe, attach: []string{"count_call=uprobe:" + self + ",pid=" + strconv.Itoa(os.Getpid()), "count_return=none"}, event: callProbed, exact: true, want: []int{events, 0}},
		"uprobe of another process":            {object: objUprobe, attach: []string{"count_call=uprobe:" + self + ",pid=1", "count_return=none"}, event: callProbed, exact: true, want: []int{0, 0}},
		"uprobe by symbol":                     {object: objUprobe, attach: []string{"count_call=uprobe:" + libc + ":exit", "count_return=none"}, event: execute, want: []int{events, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			v := verified(t, "traced", tc.object)
			opts := RunOptions{Attach: attachments(t, tc.attach...)}
			if _, err := b.Run(t.Context(), v, opts); err != nil && tc.refused {
				checkRefused(t, b, err)
				return
			} else if err != nil {
				t.Fatal(err)
			}
			st, err := b.Get(t.Context(), "traced")
			if err != nil || len(st.Problems) > 0 {
				t.Fatalf("problems %q, error %v", st.Problems, err)
			}
			tc.event(t)
			d, text := b.dump("traced", "hits")
			for i, want := range tc.want {
				got, err := d.Entries[i].Value.(json.Number).Int64()
				if err != nil || got < int64(want) || (tc.exact && got != int64(want)) {
					t.Errorf("program %d counted %d, want %d: %s", i, got, want, text)
				}
			}
			b.stop(st.Instance)
		})
	}
}

// checkRefused checks that a kernel without trampolines or the BPF LSM is named
// as such, and nothing is left.
func checkRefused(t *testing.T, b *bench, err error) {
	t.Helper()
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) {
		wantError(t, err, unix.EPERM, " programs are not permitted here", "built without")
	}
	if strings.Contains(err.Error(), "MEMLOCK") {
		t.Errorf("misleading: %v", err)
	}
	if rec, err := b.record("traced"); err != nil || rec != nil {
		t.Errorf("left: %v, %v", rec, err)
	}
}

// TestTracingRefuses is about targets that are not there.
func TestTracingRefuses(t *testing.T) {
	libc, self := libcPath(t), selfTarget(t)
	binary, _, _ := strings.Cut(self, ":")
	b := newBench(t)
	for name, tc := range map[string]struct {
		object, attach, other string
		target                error
		words                 []string
	}{
		"raw_tracepoint":        {objRawTP, "count_raw=raw_tracepoint:no_such", "count_btf", ErrNoTarget, []string{`no tracepoint "no_such"`, kernelRelease()}},
		"raw_tracepoint, group": {objRawTP, "count_raw=raw_tracepoint:sched/sched_switch", "count_btf", ErrUsage, []string{"without its group"}},
		"tp_btf":                {objRawTP, "count_btf=tp_btf:no_such", "count_raw", ErrNoTarget, []string{`no tracepoint "no_such"`}},
		"lsm":                   {objLSM, "count_unlink=lsm:no_such", "", nil, []string{kernelRelease()}},
		// That there is no such function is said only where fentry is permitted;
		// the virtual machines look for that.
		"fentry":              {objFentry, "count_entry=fentry:no_such", "count_exit", nil, []string{"fentry"}},
		"uprobe, no symbol":   {objUprobe, "count_call=uprobe:" + libc + ":no_such", "count_return", ErrNoTarget, []string{`no function "no_such"`, ":0xOFFSET"}},
		"uprobe, no file":     {objUprobe, "count_call=uprobe:/no/such:main", "count_return", ErrNoTarget, []string{`no file "/no/such"`}},
		"uprobe, folder":      {objUprobe, "count_call=uprobe:/tmp:main", "count_return", ErrUsage, []string{"not a program"}},
		"uprobe, no ELF":      {objUprobe, "count_call=uprobe:/etc/passwd:0x10", "count_return", ErrUsage, []string{"not a program"}},
		"uprobe, imported":    {objUprobe, "count_call=uprobe:/bin/true:exit", "count_return", ErrNoTarget, []string{"only imports", "the library"}},
		"uprobe, long addend": {objUprobe, "count_call=uprobe:" + libc + ":exit+0x10000", "count_return", ErrNoTarget, []string{"out of range"}},
		"uprobe, relative":    {objUprobe, "count_call=uprobe:bin/true:main", "count_return", ErrUsage, []string{"absolute path"}},
		"uprobe, no place":    {objUprobe, "count_call=uprobe:/bin/true", "count_return", ErrUsage, []string{"BINARY:SYMBOL"}},
		"uprobe, bad offset":  {objUprobe, "count_call=uprobe:/bin/true:0xz", "count_return", ErrUsage, []string{`"0xz"`}},
		"uprobe, bad addend":  {objUprobe, "count_call=uprobe:/bin/true:main+z", "count_return", ErrUsage, []string{`"main+z"`}},
		"uprobe, far offset":  {objUprobe, "count_call=uprobe:" + binary + ":0x7fffffff000", "count_return", nil, []string{"takes no probe there"}},
		"uprobe, bad pid":     {objUprobe, "count_call=uprobe:" + self + ",pid=-1", "count_return", ErrUsage, []string{"number of a process"}},
		"uprobe, no process":  {objUprobe, "count_call=uprobe:" + self + ",pid=2147483647", "count_return", ErrNoTarget, []string{"no process 2147483647"}},
	} {
		t.Run(name, func(t *testing.T) {
			list := []string{tc.attach}
			if tc.other != "" {
				list = append(list, tc.other+"=none")
			}
			if tc.object == objFentry {
				list = append(list, "count_check=none")
			}
			_, err := b.Run(t.Context(), verified(t, "refused", tc.object), RunOptions{Attach: attachments(t, list...)})
			wantError(t, err, tc.target, tc.words...)
			if rec, err := b.record("refused"); err != nil || rec != nil {
				t.Errorf("left: %v, %v", rec, err)
			}
		})
	}
}

func TestCheckActiveLSMs(t *testing.T) {
	p := &placement{}
	if err := checkActiveLSMs(p, "lockdown,capability,bpf\n"); err != nil {
		t.Error(err)
	}
	wantError(t, checkActiveLSMs(p, "capability,bpfish\n"), unix.EOPNOTSUPP, "lsm=capability,bpfish,bpf")
	wantError(t, checkActiveLSMs(p, ""), unix.EOPNOTSUPP, "lsm=bpf")
}

func execute(t *testing.T) {
	for range events {
		if err := exec.CommandContext(t.Context(), "/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
	}
}

func removeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for range events {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Unlink(path); err != nil {
			t.Fatal(err)
		}
	}
}

func makeFolder(t *testing.T) {
	dir := t.TempDir()
	for i := range events {
		if err := os.Mkdir(filepath.Join(dir, strconv.Itoa(i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// probed is what the tests put probes on. It returns at once and keeps its
// stack where it is, which a probe of its return needs.
//
//go:noinline
func probed(n int) int { return n + 1 }

func callProbed(t *testing.T) {
	n := 0
	for range events {
		n = probed(n)
	}
	if n != events {
		t.Fatal(n)
	}
}

// libcPath is the C library that /bin/true uses.
func libcPath(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldd", "/bin/true").Output()
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") && strings.Contains(filepath.Base(word), "libc.") {
			return word
		}
	}
	t.Skipf("SKIP-REASON: needs a /bin/true that ldd can see the C library of: %v", err)
	return ""
}

// selfTarget is where in the test binary's file function probed is.
func selfTarget(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	pc := uint64(reflect.ValueOf(probed).Pointer())
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// start-end permissions offset device inode path
		var start, end, offset uint64
		var permissions string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %x", &start, &end, &permissions, &offset); n == 4 && start <= pc && pc < end {
			return fmt.Sprintf("%s:%#x", path, pc-start+offset)
		}
	}
	t.Fatal("the test binary is not in its own memory")
	return ""
}
