// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// signedObjects is an image of files, signed by key.
func signedObjects(t testing.TB, key *testKey, files ...string) *pull.Image {
	t.Helper()
	img := newImage(t)
	img.Objects = nil
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		img.Objects = append(img.Objects, pull.Object{File: filepath.Base(file), Bytes: data, Digest: digest.FromBytes(data).String()})
	}
	img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img))}
	return img
}

const (
	objects   = "../bpf/testdata/"
	unlinkObj = "../examples/kprobe-unlink/unlink.bpf.o"
)

// TestLimits: what a rule allows and forbids, and real objects that keep to it or
// not.
func TestLimits(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	for _, tt := range []struct {
		name, clauses, object string
		want                  string // "" for trusted
	}{
		{"no limits", "", objects + "nogpl.bpf.o", ""},
		{"type", "allow: {types: [xdp]}", counterObject, ""},
		{"other type", "allow: {types: [xdp, sched_cls]}", unlinkObj, `allow.types (xdp, sched_cls): program "count_unlink" is of type kprobe; program "time_unlink"`},
		{"one type of many", "allow: {types: [xdp, sched_cls, tracepoint, raw_tracepoint]}", objects + "update_v1.bpf.o", `"cgroup_see" is of type cgroup_skb`},
		{"type that the hook will say", "allow: {types: [xdp]}", objects + "unknown_section.bpf.o", ""},
		{"hook", "allow: {hooks: [xdp]}", counterObject, ""},
		{"hook whose target is chosen later", `allow: {hooks: ["xdp:eth*"]}`, counterObject, ""},
		{"other hook", "allow: {hooks: [tc]}", counterObject, `program "xdp_count" is for hook xdp`},
		{"target", `allow: {hooks: ["kprobe:vfs_*", "kretprobe:vfs_unlink"]}`, unlinkObj, ""},
		{"other target", `allow: {hooks: ["kprobe:tcp_*", kretprobe]}`, unlinkObj, `program "count_unlink" is for "kprobe:vfs_unlink"`},
		{"not sleepable", "allow: {sleepable: false}", counterObject, ""},
		{"sleepable", "allow: {sleepable: false}", objects + "syscall.bpf.o", `"read_args" may sleep`},
		{"may be sleepable", "allow: {sleepable: true}", objects + "syscall.bpf.o", ""},
		{"enough memory", "allow: {mapMemory: 64Mi}", objects + "maps.bpf.o", ""},
		{"too much memory", "allow: {mapMemory: 64Ki}", objects + "maps.bpf.o", "allow.mapMemory (64.0Ki): the maps take up to"},
		{"struct_ops memory", "allow: {mapMemory: 128Ki}", objects + "structops.bpf.o", ""},
		{"license", "allow: {licenses: gpl}", counterObject, ""},
		{"other license", "allow: {licenses: gpl}", objects + "nogpl.bpf.o", `has the license "Proprietary"`},
		{"other helper", "forbid: {helpers: [bpf_probe_write_user]}", counterObject, ""},
		{"helper", "forbid: {helpers: [bpf_probe_write_user, bpf_map_update_elem]}", counterObject, `program "xdp_count" calls bpf_map_update_elem`},
		{"helper of a subprogram", "forbid: {helpers: [bpf_tail_call]}", objects + "maps.bpf.o", `program "entry" calls bpf_tail_call`},
		{"helpers by a pattern", `forbid: {helpers: ["bpf_trace_*"]}`, objects + "nogpl.bpf.o", "calls bpf_trace_printk"},
		{"no kfuncs", `forbid: {kfuncs: ["*"]}`, counterObject, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := signedObjects(t, key, tt.object)
			policy := policyFor(t, files, "  keys: [k]\n  "+tt.clauses+"\n")
			v, err := Check(t.Context(), img, policy)
			checkDecision(t, img, v, err, tt.want)
		})
	}
}

// TestLimitsOfDescriptions: what no object at hand does.
func TestLimitsOfDescriptions(t *testing.T) {
	t.Parallel()
	programs := func(p ...schemas.Program) schemas.Description {
		return schemas.Description{Objects: []schemas.Object{{Programs: p}}}
	}
	maps := func(m ...schemas.Map) schemas.Description {
		return schemas.Description{Objects: []schemas.Object{{Maps: m}}}
	}
	no, yes := false, true
	for _, tt := range []struct {
		name string
		rule schemas.PolicyRule
		desc schemas.Description
		want string // "" when all is met
	}{
		{"kfunc", forbid(nil, "bpf_arena_*"), programs(schemas.Program{Kfuncs: []string{"bpf_a", "bpf_arena_alloc_pages"}}), "calls bpf_arena_alloc_pages"},
		{"other kfunc", forbid(nil, "bpf_arena_*"), programs(schemas.Program{Kfuncs: []string{"bpf_a"}}), ""},
		{"any kfunc", forbid(nil, "*"), programs(schemas.Program{Kfuncs: []string{"x"}}), "calls x"},
		{"kfunc by number", forbid(nil, "bpf_arena_*"), programs(schemas.Program{Kfuncs: []string{"unknown#1234"}}), "without a name"},
		{"helper by number", forbid([]string{"bpf_send_signal"}), programs(schemas.Program{Helpers: []string{"unknown#999"}}), "without a name"},
		{"helper by number, nothing forbidden", schemas.PolicyRule{}, programs(schemas.Program{Helpers: []string{"unknown#999"}}), ""},
		{"in the second object", forbid([]string{"bpf_send_signal"}), schemas.Description{Objects: []schemas.Object{{}, {Programs: []schemas.Program{{Helpers: []string{"bpf_send_signal"}}}}}}, "calls bpf_send_signal"},
		{"loader, nothing limited", schemas.PolicyRule{}, programs(schemas.Program{Helpers: []string{"bpf_sys_bpf"}}), ""},
		{"loader", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &no}}, programs(schemas.Program{Helpers: []string{"bpf_sys_bpf"}}), "calls bpf_sys_bpf, by which it can load programs"},
		{"loader, some type", allow([]string{"syscall"}), programs(schemas.Program{Type: "syscall", Helpers: []string{"bpf_sys_bpf"}}), "calls bpf_sys_bpf"},
		{"work queue", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &no}}, programs(schemas.Program{Name: "p", Kfuncs: []string{"bpf_wq_init", "bpf_wq_set_callback_impl"}}), `allow.sleepable (false): program "p" calls bpf_wq_set_callback_impl, whose callback may sleep`},
		{"task work", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &no}}, programs(schemas.Program{Kfuncs: []string{"bpf_task_work_schedule_resume"}}), "callback may sleep"},
		{"no work queue", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &no}}, programs(schemas.Program{Kfuncs: []string{"bpf_rcu_read_lock"}}), ""},
		{"work queue, perhaps", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &no}}, programs(schemas.Program{Kfuncs: []string{"unknown#77"}}), "without a name"},
		{"work queue where programs may sleep", schemas.PolicyRule{Allow: &schemas.PolicyAllow{Sleepable: &yes}}, programs(schemas.Program{Kfuncs: []string{"bpf_wq_set_callback_impl"}}), ""},
		{"objects beside the maps", memory("1Gi"), programs(schemas.Program{Name: "p", Kfuncs: []string{"bpf_obj_new_impl", "bpf_list_push_front_impl"}}), `allow.mapMemory (1.0Gi): program "p" calls bpf_obj_new_impl, by which it takes memory that no map bounds`},
		{"objects for each CPU", memory("1Gi"), programs(schemas.Program{Kfuncs: []string{"bpf_percpu_obj_new_impl"}}), "no map bounds"},
		{"objects, nothing bounded", licensed(), programs(schemas.Program{License: "GPL", Kfuncs: []string{"bpf_obj_new_impl"}}), ""},
		{"GPL v2", licensed(), programs(schemas.Program{License: "GPL v2"}), ""},
		{"GPL additional", licensed(), programs(schemas.Program{License: "GPL and additional rights"}), ""},
		{"BSD", licensed(), programs(schemas.Program{License: "Dual BSD/GPL"}), ""},
		{"MIT", licensed(), programs(schemas.Program{License: "Dual MIT/GPL"}), ""},
		{"MPL", licensed(), programs(schemas.Program{License: "Dual MPL/GPL"}), ""},
		{"GPL-2.0, which is no license to the kernel", licensed(), programs(schemas.Program{License: "GPL-2.0"}), `has the license "GPL-2.0"`},
		{"gpl", licensed(), programs(schemas.Program{License: "gpl"}), "has the license"},
		{"no license", licensed(), programs(schemas.Program{}), `has the license ""`},
		{"exactly the memory", memory("1Ki"), maps(schemas.Map{Memory: 1000}, schemas.Map{Memory: 24}), ""},
		{"a byte more", memory("1Ki"), maps(schemas.Map{Memory: 1000}, schemas.Map{Memory: 25}), "take up to 1.0Ki"},
		{"for each CPU", memory("1Ki"), maps(schemas.Map{MemoryPerCPU: 1025}), "take up to"},
		{"of no bound", memory("1Gi"), maps(schemas.Map{Name: "m", Type: "task_storage"}), `map "m" (task_storage) takes memory that its definition does not bound`},
		{"beyond counting", memory("1Gi"), maps(schemas.Map{Memory: math.MaxUint64}, schemas.Map{Memory: 2}), "more memory than can be counted"},
		{"beyond counting for each CPU", memory("1Gi"), maps(schemas.Map{MemoryPerCPU: math.MaxUint64 / 2}, schemas.Map{MemoryPerCPU: math.MaxUint64/2 + 1}), "take"},
		{"struct_ops", memory("64Ki"), maps(schemas.Map{Type: "struct_ops", ValueSize: 8}), "take up to 64.0Ki"},
		{"struct_ops, enough", memory("65Ki"), maps(schemas.Map{Type: "struct_ops", ValueSize: 8}), ""},
		{"no maps", memory("0"), maps(), ""},
		{"version", version("1.4.0"), schemas.Description{Version: "1.4.0"}, ""},
		{"with a v", version("v1.4.0"), schemas.Description{Version: "1.10.0"}, ""},
		{"short", version("1.4"), schemas.Description{Version: "v1.4"}, ""},
		{"older", version("1.10.0"), schemas.Description{Version: "1.9.3"}, `minimumVersion (1.10.0): the image has version "1.9.3"`},
		{"before the release", version("1.4.0"), schemas.Description{Version: "1.4.0-rc.1"}, `the image has version "1.4.0-rc.1"`},
		{"none", version("1.4.0"), schemas.Description{}, "the image has no version"},
		{"a date", version("1.4.0"), schemas.Description{Version: "2026-11"}, "is no semantic version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := newLimits(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(unmet(l.judge(tt.desc)), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func forbid(helpers []string, kfuncs ...string) schemas.PolicyRule {
	return schemas.PolicyRule{Forbid: &schemas.PolicyForbid{Helpers: helpers, Kfuncs: kfuncs}}
}

func allow(types []string, hooks ...string) schemas.PolicyRule {
	return schemas.PolicyRule{Allow: &schemas.PolicyAllow{Types: types, Hooks: hooks}}
}

func licensed() schemas.PolicyRule {
	return schemas.PolicyRule{Allow: &schemas.PolicyAllow{Licenses: "gpl"}}
}

func memory(size string) schemas.PolicyRule {
	return schemas.PolicyRule{Allow: &schemas.PolicyAllow{MapMemory: size}}
}

func version(v string) schemas.PolicyRule { return schemas.PolicyRule{MinimumVersion: v} }

// TestLimitsRefused: a limit that says nothing, or what was not meant.
func TestLimitsRefused(t *testing.T) {
	t.Parallel()
	for want, rule := range map[string]schemas.PolicyRule{
		"allow.types: \"xpd\" is no program type":                allow([]string{"xpd"}),
		"allow.types: \"unspec\" is no program type":             allow([]string{"unspec"}),
		"allow.types is empty":                                   allow([]string{}),
		"allow.hooks is empty":                                   {Allow: &schemas.PolicyAllow{Hooks: []string{}}},
		"no hook \"xpd\"":                                        allow(nil, "xpd"),
		"no hook \"kprobe*\"":                                    allow(nil, "kprobe*"),
		"has a colon but no target":                              allow(nil, "xdp:"),
		"only * is a wildcard":                                   allow(nil, "kprobe.multi:vfs_?ead"),
		"targets hold none of":                                   allow(nil, "xdp:eth0,mode=native"),
		"allow.licenses: \"mit\": want gpl":                      {Allow: &schemas.PolicyAllow{Licenses: "mit"}},
		"allow.mapMemory: \"64M\"":                               memory("64M"),
		"allow.mapMemory: \"-1\"":                                memory("-1"),
		"allow.mapMemory: \"99999999999Gi\"":                     memory("99999999999Gi"),
		"forbid.helpers: no helper is called \"probe_write_usr":  forbid([]string{"probe_write_usr"}),
		"forbid.helpers: no helper is called \"bpf_no_such_*":    forbid([]string{"bpf_no_such_*"}),
		"forbid.kfuncs: \"\" is no name":                         forbid(nil, ""),
		"forbid.kfuncs: \"bpf arena\" is no name":                forbid(nil, "bpf arena"),
		"minimumVersion \"latest\": want a semantic version":     version("latest"),
		"minimumVersion \"1.4.0 \": want a semantic version":     version("1.4.0 "),
		"minimumVersion \">=1.4\": want a semantic version such": version(">=1.4"),
	} {
		if _, err := newLimits(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestPlaces: what a pattern of a hook allows.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, hook, target string
		want                  bool
	}{
		{"xdp", "xdp", "eth0", true},
		{"xdp", "xdp", "", true},
		{"xdp", "tc", "eth0", false},
		{"xdp:eth0", "xdp", "eth0", true},
		{"xdp:eth0", "xdp", "eth01", false},
		{"xdp:eth0", "xdp", "", false},
		{"tc:eth*", "tc", "eth", true},
		{"tc:eth*", "tc", "veth0", false},
		{"tc:*.10", "tc", "eth0.10", true},
		{"tc:e*h*0", "tc", "eth10", true},
		{"tc:e*h*0", "tc", "et0", false},
		{"tc:aa*aa", "tc", "aaa", false},
		{"kprobe:vfs_*", "kprobe", "vfs_read", true},
		{"kprobe:vfs_*", "kprobe.multi", "vfs_read", false},
		{"kprobe:vfs_*", "kprobe", "vfs_read+0x4000", false},
		{"kprobe:vfs_read+0x4", "kprobe", "vfs_read+0x4", true},
		{"kprobe:vfs_*+0x4", "kprobe", "vfs_read+0x4", true},
		{"kprobe", "kprobe", "vfs_read+0x4", true},
		{"uprobe:/bin/a:f*", "uprobe", "/bin/a:f+0x4", true},
		// A target that is a pattern itself.
		{"kprobe.multi:vfs_*", "kprobe.multi", "vfs_r*", true},
		{"kprobe.multi:vfs_*", "kprobe.multi", "vfs*", false},
		{"kprobe.multi:vfs_*", "kprobe.multi", "*", false},
		{"kprobe.multi:vfs_*", "kprobe.multi", "[v]fs_read", false},
		{"kprobe.multi:vfs_*", "kprobe.multi", "vfs_?", true},
		// Paths.
		{"uprobe:/usr/lib/*", "uprobe", "/usr/lib/libc.so.6:malloc", true},
		{"uprobe:/usr/lib/*", "uprobe", "/usr/lib/../../home/x:f", false},
		{"uprobe:/usr/bin/bash:readline", "uprobe", "/usr/bin/bash:readline", true},
		{"cgroup_skb:/sys/fs/cgroup/a/*", "cgroup_skb", "/sys/fs/cgroup/a/../b", false},
		{"cgroup_skb:/sys/fs/cgroup/a/*", "cgroup_skb", "/sys/fs/cgroup/a/..b", true},
		{"uprobe", "uprobe", "/usr/lib/../x:f", true},
	} {
		l, err := newLimits(allow(nil, tt.pattern))
		if err != nil {
			t.Fatal(err)
		}
		v := &Verified{rule: Rule{limits: l}}
		err = v.AllowedPlace("p", tt.hook, tt.target)
		if (err == nil) != tt.want || err != nil && !errors.Is(err, ErrNotTrusted) {
			t.Errorf("%s allows %s:%s: %v", tt.pattern, tt.hook, tt.target, err)
		}
	}
}

// TestAllowed: what is judged when a run is planned.
func TestAllowed(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	policy := policyFor(t, files, "  keys: [k]\n  allow: {types: [xdp], hooks: [xdp], sleepable: false, mapMemory: 2Mi, licenses: gpl}\n")
	v, err := Check(t.Context(), signedObjects(t, key, counterObject), policy)
	if err != nil {
		t.Fatal(err)
	}
	skipped, err := Skip(signedObjects(t, key, counterObject), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ask  func(*Verified) error
		want string
	}{
		"program":        {func(v *Verified) error { return v.AllowedProgram(schemas.Program{Type: "xdp", License: "GPL"}) }, ""},
		"no type":        {func(v *Verified) error { return v.AllowedProgram(schemas.Program{Type: "unspec", License: "GPL"}) }, "has no type"},
		"type by a hook": {func(v *Verified) error { return v.AllowedProgram(schemas.Program{Type: "kprobe", License: "GPL"}) }, "is of type kprobe"},
		"hook":           {func(v *Verified) error { return v.AllowedHook("p", "xdp") }, ""},
		"other hook":     {func(v *Verified) error { return v.AllowedHook("p", "tc") }, `program "p" may not be attached to hook tc`},
		"other place":    {func(v *Verified) error { return v.AllowedPlace("p", "kprobe", "do_exit") }, `may not be attached to "kprobe:do_exit"`},
		"maps":           {func(v *Verified) error { return v.AllowedMaps(v.Description().Objects[0].Maps) }, ""},
		"larger maps":    {func(v *Verified) error { return v.AllowedMaps([]schemas.Map{{Memory: 3 << 20}}) }, "the maps take up to 3.0Mi, over 2.0Mi"},
	} {
		err := tt.ask(v)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (!errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "rule 1")):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if err := tt.ask(skipped); err != nil {
			t.Errorf("%s, verification skipped: %v", name, err)
		}
	}
}

// TestLabelsDoNotDecide: a label that says another hook or type changes nothing.
func TestLabelsDoNotDecide(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	for _, tt := range []struct{ clauses, want string }{
		{"allow: {hooks: [kprobe]}", "is for hook xdp"},
		{"allow: {types: [kprobe]}", "is of type xdp"},
		{"allow: {hooks: [xdp], types: [xdp]}", ""},
	} {
		img := signedObjects(t, key, counterObject)
		img.Described = &schemas.Description{Objects: []schemas.Object{{
			File: img.Objects[0].File, Digest: img.Objects[0].Digest,
			Programs: []schemas.Program{{Name: "xdp_count", Type: "xdp", Section: "xdp", Hook: "kprobe", Target: "do_exit"}},
		}}}
		v, err := Check(t.Context(), img, policyFor(t, files, "  keys: [k]\n  "+tt.clauses+"\n"))
		checkDecision(t, img, v, err, tt.want)
	}
}

// TestVersionOfImage: a label counts where there is no description, for the lowest
// version and for conditions.
func TestVersionOfImage(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	policy := policyFor(t, files, `  keys: [k]
  minimumVersion: 1.4.0
  attestations: [{type: slsaprovenance1, condition: image.version.startsWith("1.")}]
`)
	img := signedObjects(t, key, counterObject)
	img.Candidates = append(img.Candidates, candidateOf(key.envelope(t, inToto, attested(digestOf(img), slsa1, "{}"))))
	img.Labels = map[string]string{ocispec.AnnotationVersion: "1.4.1"}
	v, err := Check(t.Context(), img, policy)
	checkDecision(t, img, v, err, "")
	img.Described = &schemas.Description{Version: "1.3.0"}
	v, err = Check(t.Context(), img, policy)
	checkDecision(t, img, v, err, `the image has version "1.3.0"`)
}

// TestNoRollback: which version may follow which.
func TestNoRollback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		last, next string
		want       bool
	}{
		{"", "", true},
		{"", "1.0.0", true},
		{"nightly", "", true},
		{"1.0.0", "1.0.0", true},
		{"1.9.0", "1.10.0", true},
		{"v1.9.0", "2.0.0-rc.1", true},
		{"1.10.0", "1.9.0", false},
		{"1.0.0", "1.0.0-rc.1", false},
		{"1.0.0", "", false},
		{"1.0.0", "nightly", false},
	} {
		err := NoRollback(tt.last, tt.next)
		if (err == nil) != tt.want || err != nil && !errors.Is(err, ErrNotTrusted) {
			t.Errorf("%q after %q: %v", tt.next, tt.last, err)
		}
	}
}
