// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUserProbes attaches to a program that already runs, has it work, and looks
// at what was counted. In the attachments, $BIN is the program, $PID the process.
func TestUserProbes(t *testing.T) {
	const rounds = 3
	binary := compileProbed(t)
	calls, returns, both := "count_calls=uprobe.multi:", "count_returns=uretprobe.multi:", "count_both=uprobe.session:"
	args, hits := "sum_args=usdt:", "count_hits=usdt:"
	for name, tc := range map[string]struct {
		object string
		attach []string
		want   []int64
	}{
		"uprobe and uretprobe": {objUprobe, []string{"count_call=uprobe:$BIN:work_one", "count_return=uretprobe:$BIN:work_two"}, []int64{rounds, rounds}},
		"uprobe of a section for uprobe.multi": {
			objUmulti,
			[]string{"count_calls=uprobe:$BIN:work_one", "count_returns=uretprobe:$BIN:work_one", "count_both=uprobe:$BIN:work_two"},
			[]int64{rounds, rounds, rounds},
		},
		"uprobe.multi":                         {objUmulti, []string{calls + "$BIN:work_*", "count_returns=none", "count_both=none"}, []int64{2 * rounds, 0, 0}},
		"uretprobe.multi":                      {objUmulti, []string{returns + "$BIN:work_?ne", "count_calls=none", "count_both=none"}, []int64{0, rounds, 0}},
		"uprobe.session":                       {objUmulti, []string{both + "$BIN:work_*", "count_calls=none", "count_returns=none"}, []int64{0, 0, 4 * rounds}},
		"uprobe.multi, one function":           {objUmulti, []string{calls + "$BIN:work_two,pid=$PID", "count_returns=none", "count_both=none"}, []int64{rounds, 0, 0}},
		"uprobe.multi, other process":          {objUmulti, []string{calls + "$BIN:work_*,pid=1", "count_returns=none", "count_both=none"}, []int64{0, 0, 0}},
		"uprobe.multi of a section for uprobe": {objUprobe, []string{"count_call=uprobe.multi:$BIN:work_*", "count_return=uretprobe.multi:$BIN:work_*"}, []int64{2 * rounds, 2 * rounds}},
		"usdt":                                 {objUSDT, []string{args + "$BIN:app:request", "count_hits=none"}, []int64{rounds, -rounds, 1000 * rounds, -3 * rounds, 0}},
		"usdt with a semaphore":                {objUSDT, []string{args + "$BIN:app:reply,pid=$PID", "count_hits=none"}, []int64{rounds, rounds, 10 * rounds, 5 * rounds, 0}},
		"usdt in two places":                   {objUSDT, []string{args + "$BIN:app:twice", "count_hits=none"}, []int64{2 * rounds, 2 * rounds, 1010 * rounds, 14 * rounds, 0}},
		"usdt without arguments":               {objUSDT, []string{hits + "$BIN:app:request", "sum_args=none"}, []int64{0, 0, 0, 0, rounds}},
		"two programs with usdt":               {objUSDT, []string{args + "$BIN:app:twice", hits + "$BIN:app:twice"}, []int64{2 * rounds, 2 * rounds, 1010 * rounds, 14 * rounds, 2 * rounds}},
		"usdt of another process":              {objUSDT, []string{hits + "$BIN:app:twice,pid=1", "sum_args=none"}, []int64{0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			p := startProbed(t, binary, nil)
			list := slices.Clone(tc.attach)
			for i := range list {
				list[i] = strings.NewReplacer("$BIN", binary, "$PID", strconv.Itoa(p.pid)).Replace(list[i])
			}
			rec, err := b.Run(t.Context(), verified(t, "probed", tc.object), RunOptions{Attach: attachments(t, list...)})
			skipUnsupported(t, err)
			if err != nil {
				t.Fatal(err)
			}
			p.work(rounds)
			if got := b.values("probed", mapOfObject(tc.object)); !slices.Equal(got, tc.want) {
				t.Errorf("counted %v, want %v", got, tc.want)
			}
			b.stop(rec.Instance)
			p.work(1) // unharmed
		})
	}
}

func mapOfObject(object string) string {
	if object == objUSDT {
		return "sums"
	}
	return "hits"
}

// skipUnsupported skips what this kernel is too old for.
func skipUnsupported(t *testing.T, err error) {
	t.Helper()
	if u := (*UnsupportedError)(nil); errors.As(err, &u) {
		major, minor := 0, 0
		if n, _ := fmt.Sscanf(u.Since, "%d.%d", &major, &minor); n == 2 && kernelAtLeast(major, minor) {
			t.Fatalf("this kernel is new enough: %v", err)
		}
		t.Skipf("SKIP-REASON: needs a newer kernel: %v", err)
	}
}

// TestUserProbesInContainer probes a program that this mount namespace does not
// have, or has another of the same path.
func TestUserProbesInContainer(t *testing.T) {
	const rounds = 3
	needRoot(t)
	binary := compileProbed(t)
	root := t.TempDir()
	for _, dir := range []string{"opt", "usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "cp", binary, filepath.Join(root, "opt/probed")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for link, to := range map[string]string{
		"usr/bin/probed": "/opt/probed", // absolute: this one's, and no other's
		"opt/out":        "/../../../../../../../../../../bin/true",
		"opt/magic":      "/proc/self/exe",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	p := startProbed(t, "/opt/probed", &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNS})
	mntns := fmt.Sprintf(",mntns=pid:%d", p.pid)
	for name, tc := range map[string]struct {
		object string
		attach []string
		want   []int64
		err    error
		words  string
	}{
		"uprobe":                {objUprobe, []string{"count_call=uprobe:/opt/probed:work_one" + mntns, "count_return=uretprobe:/opt/../opt/probed:work_two" + mntns}, []int64{rounds, rounds}, nil, ""},
		"absolute link":         {objUprobe, []string{"count_call=uprobe:/usr/bin/probed:work_one" + mntns, "count_return=none"}, []int64{rounds, 0}, nil, ""},
		"bare name":             {objUprobe, []string{"count_call=uprobe:probed:work_one" + mntns, "count_return=none"}, []int64{rounds, 0}, nil, ""},
		"uprobe.multi":          {objUprobe, []string{"count_call=uprobe.multi:/opt/probed:work_*" + mntns, "count_return=none"}, []int64{2 * rounds, 0}, nil, ""},
		"usdt":                  {objUSDT, []string{"sum_args=usdt:/opt/probed:app:reply" + mntns, "count_hits=none"}, []int64{rounds, rounds, 10 * rounds, 5 * rounds, 0}, nil, ""},
		"not here":              {objUprobe, []string{"count_call=uprobe:/opt/probed:work_one", "count_return=none"}, nil, ErrNoTarget, `no file "/opt/probed"`},
		"not there":             {objUprobe, []string{"count_call=uprobe:/bin/true:main" + mntns, "count_return=none"}, nil, ErrNoTarget, `no file "/bin/true"`},
		"a link that leads out": {objUprobe, []string{"count_call=uprobe:/opt/out:main" + mntns, "count_return=none"}, nil, ErrNoTarget, `no file "/opt/out"`},
		"a link of the kernel":  {objUprobe, []string{"count_call=uprobe:/opt/magic:main" + mntns, "count_return=none"}, nil, ErrNoTarget, `no file "/opt/magic"`},
		"no process":            {objUprobe, []string{"count_call=uprobe:/opt/probed:work_one,mntns=pid:2147483647", "count_return=none"}, nil, ErrNoTarget, "no process 2147483647"},
		"no pid":                {objUprobe, []string{"count_call=uprobe:/opt/probed:work_one,mntns=/proc/1/ns/mnt", "count_return=none"}, nil, ErrUsage, "pid: and the number"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			run, err := b.Run(t.Context(), verified(t, "contained", tc.object), RunOptions{Attach: attachments(t, tc.attach...)})
			skipUnsupported(t, err)
			if tc.err != nil {
				wantError(t, err, tc.err, tc.words)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.work(rounds)
			if got := b.values("contained", mapOfObject(tc.object)); !slices.Equal(got, tc.want) {
				t.Errorf("counted %v, want %v", got, tc.want)
			}
			b.stop(run.Instance)
		})
	}
}

// TestUserProbesRefuse is about places that are not there.
func TestUserProbesRefuse(t *testing.T) {
	binary := compileProbed(t)
	b := newBench(t)
	for name, tc := range map[string]struct {
		object, attach, other string
		target                error
		words                 []string
	}{
		"no match":       {objUmulti, "count_calls=uprobe.multi:" + binary + ":nothing_*", "count_returns count_both", ErrNoTarget, []string{"no function", `"nothing_*"`}},
		"no function":    {objUmulti, "count_calls=uprobe.multi:" + binary + ":nothing", "count_returns count_both", ErrNoTarget, []string{`no function "nothing"`}},
		"no pattern":     {objUmulti, "count_calls=uprobe.multi:" + binary, "count_returns count_both", ErrUsage, []string{"BINARY:PATTERN"}},
		"no probe":       {objUSDT, "count_hits=usdt:" + binary + ":app:none", "sum_args", ErrNoTarget, []string{`no static probe "app:none"`, `"app:request", "app:twice", "app:reply"`}},
		"no probes":      {objUSDT, "count_hits=usdt:/bin/true:app:none", "sum_args", ErrNoTarget, []string{"it has none at all"}},
		"no name":        {objUSDT, "count_hits=usdt:" + binary + ":app", "sum_args", ErrUsage, []string{"BINARY:PROVIDER:NAME"}},
		"no file":        {objUSDT, "count_hits=usdt:nosuchlib.so.6:app:x", "sum_args", ErrNoTarget, []string{`no file "nosuchlib.so.6"`}},
		"no target":      {objUSDT, "count_hits=usdt", "sum_args", ErrUsage, []string{"needs a static probe", "BINARY:PROVIDER:NAME"}},
		"for no machine": {objUprobe, "count_call=uprobe:" + filepath.Join(mustGetwd(t), objUprobe) + ":main", "count_return", ErrUsage, []string{"not a program"}},
	} {
		t.Run(name, func(t *testing.T) {
			list := []string{tc.attach}
			for other := range strings.FieldsSeq(tc.other) {
				list = append(list, other+"=none")
			}
			_, err := b.Run(t.Context(), verified(t, "refused", tc.object), RunOptions{Attach: attachments(t, list...)})
			wantError(t, err, tc.target, tc.words...)
			if rec, err := b.record("refused"); err != nil || rec != nil {
				t.Errorf("left: %v, %v", rec, err)
			}
		})
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
