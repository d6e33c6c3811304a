// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

const objPerfEvent = "testdata/perfevent.bpf.o"

// TestPerfEvent runs one program on many CPUs or threads: load, attach, events,
// their count, stop.
func TestPerfEvent(t *testing.T) {
	cpus, err := onlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	self := strconv.Itoa(os.Getpid())
	for name, tc := range map[string]struct {
		attach string
		// links is how many there are at least.
		links int
		event func(*testing.T)
		// options are what the record says was chosen.
		options map[string]string
	}{
		"clock":           {"cpu-clock", len(cpus), spin, map[string]string{"frequency": "99"}},
		"clock, group":    {"software/cpu-clock,frequency=1000,cpu=all", len(cpus), spin, map[string]string{"frequency": "1000", "cpu": "all"}},
		"clock, one CPU":  {fmt.Sprintf("cpu-clock,frequency=1000,cpu=%d", cpus[0]), 1, spinOn(cpus[0]), nil},
		"faults":          {"page-faults", len(cpus), fault, map[string]string{"period": "1"}},
		"faults, process": {"minor-faults,pid=" + self, 2, fault, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			rec := b.start(verified(t, "perf", objPerfEvent), RunOptions{Attach: attachments(t, "count_event=perf_event:"+tc.attach)})
			parts := rec.Links[0].Parts()
			if len(parts) < tc.links {
				t.Errorf("%d links, want %d", len(parts), tc.links)
			}
			for _, part := range parts {
				if _, err := os.Lstat(part.Pin); err != nil || part.ID == 0 {
					t.Errorf("link %+v: %v", part, err)
				}
			}
			if tc.options != nil && !reflect.DeepEqual(rec.Links[0].Options, tc.options) {
				t.Errorf("options %v, want %v", rec.Links[0].Options, tc.options)
			}
			for b.hits("perf")[0] < events {
				if t.Context().Err() != nil {
					t.Fatal("no events")
				}
				tc.event(t)
			}
			b.stop(rec)
		})
	}
}

// TestPerfEventPartGone has somebody remove one of several pins.
func TestPerfEventPartGone(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "perf", objPerfEvent), RunOptions{
		Attach: attachments(t, "count_event=perf_event:page-faults,pid="+strconv.Itoa(os.Getpid())),
	})
	last := rec.Links[0].More[len(rec.Links[0].More)-1]
	if err := os.Remove(last.Pin); err != nil {
		t.Fatal(err)
	}
	st, err := b.Get(t.Context(), "perf")
	if err != nil || len(st.Problems) != 1 {
		t.Errorf("problems %q, error %v", st.Problems, err)
	}
	b.stop(rec)
}

func TestPerfEventRefuses(t *testing.T) {
	b := newBench(t)
	for name, tc := range map[string]struct {
		attach string
		target error
		words  []string
	}{
		"no event":        {"", ErrUsage, []string{"an event", "perf_event:cpu-clock"}},
		"unknown":         {":no-such", ErrUsage, []string{"cpu-clock, task-clock", "rHEX"}},
		"wrong group":     {":hardware/cpu-clock", ErrUsage, []string{"no such event"}},
		"both":            {":cpu-clock,frequency=9,period=9", ErrUsage, []string{"exclude each other"}},
		"cpu and pid":     {":cpu-clock,cpu=0,pid=1", ErrUsage, []string{"exclude each other"}},
		"no frequency":    {":cpu-clock,frequency=0", ErrUsage, []string{"from 1"}},
		"high frequency":  {":cpu-clock,frequency=9999999999", ErrUsage, []string{"samples a second"}},
		"negative period": {":cpu-clock,period=-1", ErrUsage, []string{"from 1"}},
		"no CPU":          {":cpu-clock,cpu=8191", ErrNoTarget, []string{"CPU 8191"}},
		"bad CPUs":        {":cpu-clock,cpu=0-", ErrUsage, []string{"0-3+5"}},
		"bad pid":         {":cpu-clock,pid=self", ErrUsage, []string{"number of a process"}},
		"no process":      {":cpu-clock,pid=2147483647", ErrNoTarget, []string{"no process 2147483647"}},
		"not this CPU's":  {":rffffffffffffffff", nil, []string{"rffffffffffffffff"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Run(t.Context(), verified(t, "perf", objPerfEvent), RunOptions{Attach: attachments(t, "count_event=perf_event"+tc.attach)})
			wantError(t, err, tc.target, tc.words...)
			if rec, err := b.record("perf"); err != nil || rec != nil {
				t.Errorf("left: %v, %v", rec, err)
			}
		})
	}
}

// TestHoldPerf is about kernels without links of perf events, which later ones
// can do as well.
func TestHoldPerf(t *testing.T) {
	b := newBench(t)
	v := verified(t, "perf", objPerfEvent)
	r, err := b.Run(t.Context(), v, RunOptions{Foreground: true, Attach: attachments(t, "count_event=none")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	prog, err := openProgramOf(r.Instance.Programs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	p := &placement{hook: perfEventHook{}}
	p.link.Hook, p.link.Target = "perf_event", "page-faults"
	attr, err := perfAttr(p)
	if err != nil {
		t.Fatal(err)
	}
	places, err := perfPlaces(p)
	if err != nil {
		t.Fatal(err)
	}
	held, err := holdPerf(p, attr, places, prog)
	if err != nil {
		t.Fatal(err)
	}
	fault(t)
	if n := b.hits("perf")[0]; n < events {
		t.Errorf("counted %d", n)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	before := b.hits("perf")[0]
	fault(t)
	if n := b.hits("perf")[0]; n != before {
		t.Errorf("counted %d after it was closed, and %d before", n, before)
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{
		"0": {0}, "0-3": {0, 1, 2, 3}, "5,0-1,1": {0, 1, 5}, "8191": {8191},
		"": nil, "-1": nil, "3-2": nil, "1-": nil, "0,": nil, "8192": nil, "0-99999999": nil, "a": nil,
	} {
		got, err := parseCPUs(list, ",")
		if (err != nil) != (want == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("parseCPUs(%q) = %v, %v; want %v", list, got, err, want)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, seed := range []string{"0", "0-3+5", "8191", "0-8191+0-8191", "-", "+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		cpus, err := parseCPUs(list, "+")
		if err == nil && (len(cpus) == 0 || len(cpus) > maxCPU || cpus[0] < 0 || cpus[len(cpus)-1] >= maxCPU) {
			t.Errorf("%q: %d CPUs", list, len(cpus))
		}
	})
}

func FuzzFindPerfEvent(f *testing.F) {
	for _, seed := range []string{"cpu-clock", "software/cs", "raw/r1c2", "r1c2", "r", "/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if e, ok := findPerfEvent(name); ok && e.kind != unix.PERF_TYPE_RAW && len(e.names) == 0 {
			t.Errorf("%q: %+v", name, e)
		}
	})
}

// hits are the counters of map "hits".
func (b *bench) hits(instance string) []int64 {
	b.t.Helper()
	d, text := b.dump(instance, "hits")
	var out []int64
	for _, e := range d.Entries {
		n, err := e.Value.(json.Number).Int64()
		if err != nil {
			b.t.Fatalf("%v: %s", err, text)
		}
		out = append(out, n)
	}
	return out
}

// spin keeps a CPU busy for a while.
func spin(*testing.T) {
	x := 1.0
	for range 1 << 20 {
		x = math.Sqrt(x + 1)
	}
	runtime.KeepAlive(x)
}

// spinOn does it on one CPU.
func spinOn(cpu int) func(*testing.T) {
	return func(t *testing.T) {
		var old, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &old); err != nil {
			t.Fatal(err)
		}
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Fatal(err)
		}
		spin(t)
		if err := unix.SchedSetaffinity(0, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// fault makes some page faults.
func fault(t *testing.T) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, events*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	// Huge pages would be one fault for all.
	if err := unix.Madvise(memory, unix.MADV_NOHUGEPAGE); err != nil {
		t.Log(err)
	}
	for i := range events {
		memory[i*page] = 1
	}
	if err := unix.Munmap(memory); err != nil {
		t.Fatal(err)
	}
}
