// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options of hook perf_event.
const (
	optionFrequency = "frequency"
	optionPeriod    = "period"
	optionCPU       = "cpu"
	optionPID       = "pid" // and of iter
)

// defaultFrequency in samples a second: what profilers use, beside the round
// numbers at which other things on a machine happen.
const defaultFrequency = "99"

// Bounds on what the kernel or a person says.
const (
	// maxCPU is above the most a kernel can be built for (CONFIG_NR_CPUS of x86-64).
	maxCPU = 8192
	// maxThreads is how many threads of a process are watched.
	maxThreads = 4096
)

// perfPlace is where one perf event counts: one CPU and everybody on it (pid -1),
// or one thread wherever it runs (cpu -1).
type perfPlace struct{ pid, cpu int }

// perfEventKind is one event as the kernel numbers it.
type perfEventKind struct {
	// kind is a PERF_TYPE, config the number within it (linux/perf_event.h).
	kind   uint32
	config uint64
	// each is set for events of which by default every single one counts; the
	// others are of time, or too many.
	each bool
	// names as `perf list` has them.
	names []string
}

// perfEventKinds are the events that have names of their own. What never
// overflows (dummy, bpf-output) runs no program and is left out.
func perfEventKinds() []perfEventKind {
	const soft, hard = unix.PERF_TYPE_SOFTWARE, unix.PERF_TYPE_HARDWARE
	return []perfEventKind{
		{soft, unix.PERF_COUNT_SW_CPU_CLOCK, false, []string{"cpu-clock"}},
		{soft, unix.PERF_COUNT_SW_TASK_CLOCK, false, []string{"task-clock"}},
		{soft, unix.PERF_COUNT_SW_PAGE_FAULTS, true, []string{"page-faults", "faults"}},
		{soft, unix.PERF_COUNT_SW_CONTEXT_SWITCHES, true, []string{"context-switches", "cs"}},
		{soft, unix.PERF_COUNT_SW_CPU_MIGRATIONS, true, []string{"cpu-migrations", "migrations"}},
		{soft, unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, true, []string{"minor-faults"}},
		{soft, unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ, true, []string{"major-faults"}},
		{soft, unix.PERF_COUNT_SW_ALIGNMENT_FAULTS, true, []string{"alignment-faults"}},
		{soft, unix.PERF_COUNT_SW_EMULATION_FAULTS, true, []string{"emulation-faults"}},
		// PERF_COUNT_SW_CGROUP_SWITCHES, Linux 5.13.
		{soft, 11, true, []string{"cgroup-switches"}},
		{hard, unix.PERF_COUNT_HW_CPU_CYCLES, false, []string{"cycles", "cpu-cycles"}},
		{hard, unix.PERF_COUNT_HW_INSTRUCTIONS, false, []string{"instructions"}},
		{hard, unix.PERF_COUNT_HW_CACHE_REFERENCES, false, []string{"cache-references"}},
		{hard, unix.PERF_COUNT_HW_CACHE_MISSES, false, []string{"cache-misses"}},
		{hard, unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS, false, []string{"branches", "branch-instructions"}},
		{hard, unix.PERF_COUNT_HW_BRANCH_MISSES, false, []string{"branch-misses"}},
		{hard, unix.PERF_COUNT_HW_BUS_CYCLES, false, []string{"bus-cycles"}},
		{hard, unix.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, false, []string{"stalled-cycles-frontend", "idle-cycles-frontend"}},
		{hard, unix.PERF_COUNT_HW_STALLED_CYCLES_BACKEND, false, []string{"stalled-cycles-backend", "idle-cycles-backend"}},
		{hard, unix.PERF_COUNT_HW_REF_CPU_CYCLES, false, []string{"ref-cycles"}},
	}
}

// findPerfEvent finds an event by its name, before which its kind may stand
// ("software/cpu-clock"); rHEX is one of the processor's own, as in perf.
func findPerfEvent(name string) (perfEventKind, bool) {
	kind, short, grouped := strings.Cut(name, "/")
	if !grouped {
		kind, short = "", name
	}
	for _, e := range perfEventKinds() {
		group := "hardware"
		if e.kind == unix.PERF_TYPE_SOFTWARE {
			group = "software"
		}
		if slices.Contains(e.names, short) && (!grouped || kind == group) {
			return e, true
		}
	}
	if hex, ok := strings.CutPrefix(name, "r"); ok {
		if n, err := strconv.ParseUint(hex, 16, 64); err == nil {
			return perfEventKind{kind: unix.PERF_TYPE_RAW, config: n}, true
		}
	}
	return perfEventKind{}, false
}

// perfAttr is the event of a placement for the kernel.
func perfAttr(p *placement) (*unix.PerfEventAttr, error) {
	event, ok := findPerfEvent(p.link.Target)
	if !ok {
		var names []string
		for _, e := range perfEventKinds() {
			names = append(names, e.names[0])
		}
		return nil, p.usage("there is no such event; there are %s, and rHEX for one of the processor's own", strings.Join(names, ", "))
	}
	attr := &unix.PerfEventAttr{Type: event.kind, Config: event.config}
	attr.Size = uint32(unsafe.Sizeof(*attr))
	if p.option(optionPID) != "" {
		attr.Bits |= unix.PerfBitInherit
		if kernelAtLeast(5, 13) {
			// Threads started later, and not child processes.
			attr.Bits |= perfBitInheritThread
		}
	}
	return attr, perfSampling(p, attr, event)
}

// perfBitInheritThread is inherit_thread of struct perf_event_attr.
const perfBitInheritThread = 1 << 35

// perfSampling sets how often the program runs, by default defaultFrequency or,
// where each event counts, each time.
func perfSampling(p *placement, attr *unix.PerfEventAttr, event perfEventKind) error {
	frequency, period := p.option(optionFrequency), p.option(optionPeriod)
	switch {
	case frequency != "" && period != "":
		return p.usage("frequency and period exclude each other")
	case frequency == "" && period == "" && event.each:
		period = "1"
		p.choose(optionPeriod, period)
	case frequency == "" && period == "":
		frequency = defaultFrequency
		p.choose(optionFrequency, frequency)
	}
	name, value := optionPeriod, period
	if frequency != "" {
		name, value = optionFrequency, frequency
		attr.Bits |= unix.PerfBitFreq
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || n == 0 {
		return p.usage("option %s is %q; it is a number from 1", name, value)
	}
	attr.Sample = n
	if most, err := readUint(maxSampleRate); frequency != "" && err == nil && n > most {
		return p.usage("option frequency is %d, and %s allows %d samples a second", n, maxSampleRate, most)
	}
	return nil
}

// maxSampleRate holds the kernel's bound on frequencies, which it lowers when
// samples take too long.
const maxSampleRate = "/proc/sys/kernel/perf_event_max_sample_rate"

func readUint(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// perfPlaces are where the event of a placement is opened: all CPUs that are
// online, those of option cpu, or the threads of option pid.
func perfPlaces(p *placement) ([]perfPlace, error) {
	if pid := p.option(optionPID); pid != "" {
		if p.option(optionCPU) != "" {
			return nil, p.usage("cpu and pid exclude each other")
		}
		return perfThreads(p, pid)
	}
	online, err := onlineCPUs()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	chosen := online
	if list := p.option(optionCPU); list != "" && list != "all" {
		if chosen, err = parseCPUs(list, "+"); err != nil {
			return nil, p.usage("option cpu is %q; it is all, or CPUs such as 0-3+5: %v", list, err)
		}
	}
	var places []perfPlace
	for _, cpu := range chosen {
		if !slices.Contains(online, cpu) {
			return nil, fmt.Errorf("%s: %w: CPU %d is not there or not online", p, ErrNoTarget, cpu)
		}
		places = append(places, perfPlace{pid: -1, cpu: cpu})
	}
	return places, nil
}

// perfThreads are the threads of one process.
func perfThreads(p *placement, pid string) ([]perfPlace, error) {
	if n, err := strconv.ParseUint(pid, 10, 31); err != nil || n == 0 {
		return nil, p.usage("option pid is %q; it is the number of a process", pid)
	}
	entries, err := os.ReadDir("/proc/" + pid + "/task")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: there is no process %s", p, ErrNoTarget, pid)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: listing the threads of process %s: %w", p, pid, err)
	}
	if len(entries) > maxThreads {
		return nil, p.usage("process %s has %d threads; one event each is too many above %d", pid, len(entries), maxThreads)
	}
	var places []perfPlace
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: listing the threads of process %s: %w", p, pid, err)
		}
		places = append(places, perfPlace{pid: tid, cpu: -1})
	}
	return places, nil
}

// onlineCPUs are the CPUs that run, sorted.
func onlineCPUs() ([]int, error) {
	const path = "/sys/devices/system/cpu/online"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading which CPUs are online: %w", err)
	}
	cpus, err := parseCPUs(strings.TrimSpace(string(text)), ",")
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return cpus, nil
}

// parseCPUs reads a list such as "0-3,5" into numbers, sorted and once each.
func parseCPUs(list, separator string) ([]int, error) {
	var cpus []int
	for field := range strings.SplitSeq(list, separator) {
		from, to, ranged := strings.Cut(field, "-")
		if !ranged {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 31)
		last, err2 := strconv.ParseUint(to, 10, 31)
		if err != nil || err2 != nil || last < first {
			return nil, fmt.Errorf("%q is neither a number nor a range", field)
		}
		if last >= maxCPU {
			return nil, fmt.Errorf("no kernel has a CPU %d", last)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, int(cpu))
		}
		if len(cpus) > maxCPU {
			return nil, errors.New("it names more CPUs than any kernel has")
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}
