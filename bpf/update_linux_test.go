// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

const (
	objV1 = "testdata/update_v1.bpf.o"
	objV2 = "testdata/update_v2.bpf.o"
)

// Places in the map "seen" of update.h.
const (
	placeXDP = iota
	placeTC
	placeCgroup
	placeTracepoint
	placeRaw
	places
)

// updateImage is the version'th image of update.h.
func updateImage(t *testing.T, version int) *verify.Verified {
	t.Helper()
	if version == 1 {
		return verified(t, "up", objV1)
	}
	return verified(t, "up", objV2)
}

// startV1 runs version 1 with everything but the cgroup attached.
func (b *bench) startV1(tcOptions string) schemas.Instance {
	b.t.Helper()
	return b.start(updateImage(b.t, 1), RunOptions{Attach: attachments(b.t,
		"xdp_see=xdp:"+dev, "tc_see=tc:"+dev+tcOptions, "cgroup_see=none")})
}

// update must succeed; it checks that the record and the kernel agree and that
// nothing is left of what was replaced.
func (b *bench) update(name string, v *verify.Verified, opts UpdateOptions) *Updated {
	b.t.Helper()
	old, err := b.existing(name)
	if err != nil {
		b.t.Fatal(err)
	}
	u, err := b.Update(b.t.Context(), name, v, opts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.checkIntact(u.Instance)
	b.checkReplaced(*old, u.Instance)
	return u
}

// checkIntact checks that an instance runs as its record says, and that its pins
// are exactly those of the record.
func (b *bench) checkIntact(rec schemas.Instance) {
	b.t.Helper()
	st, err := b.Get(b.t.Context(), rec.Name)
	if err != nil || len(st.Problems) > 0 || st.State != stateRunning || st.Update != nil {
		b.t.Fatalf("state %q, problems %q, update %v, error %v", st.State, st.Problems, st.Update, err)
	}
	want := objectPins(&rec)
	for _, l := range rec.Links {
		for _, part := range l.Parts() {
			if part.Pin != "" {
				want = append(want, part.Pin)
			}
		}
		b.checkHolds(l, programOf(&rec, l.Program).ID)
	}
	var have []string
	err = filepath.WalkDir(rec.PinPath, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			have = append(have, path)
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(have)
	if err != nil || !slices.Equal(want, have) {
		b.t.Errorf("pins\n%q, want\n%q (%v)", have, want, err)
	}
	if _, err := os.Lstat(filepath.Join(rec.PinPath, pinNext)); err == nil {
		b.t.Error("the folder of the update is left")
	}
}

// checkHolds checks that a link runs a program.
func (b *bench) checkHolds(l schemas.InstanceLink, id uint32) {
	b.t.Helper()
	if l.Via != viaLink || l.ID == 0 {
		return // unlinkedProblem has looked
	}
	held, err := link.LoadPinnedLink(l.Pin, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer held.Close()
	if info, err := held.Info(); err != nil || (info.Program != 0 && uint32(info.Program) != id) {
		b.t.Errorf("the link of %q runs program %d, want %d (%v)", l.Program, info.Program, id, err)
	}
}

// checkReplaced checks that the kernel has let go of what only old has.
func (b *bench) checkReplaced(old, now schemas.Instance) {
	b.t.Helper()
	var ids kernelIDs
	ids.add(&old)
	ids.spare(&now)
	for _, id := range ids.links {
		if !gone(id, lookForLink) {
			b.t.Errorf("link %d is left", id)
		}
	}
	if left := waitGone(b.t.Context(), patience, ids.programs, lookForProgram); len(left) > 0 {
		b.t.Errorf("programs %v are left", left)
	}
	if left := waitGone(b.t.Context(), patience, ids.maps, lookForMap); len(left) > 0 {
		b.t.Errorf("maps %v are left", left)
	}
}

// seen reads the counters of one place, of both versions.
func (b *bench) seen(rec schemas.Instance, place int) [2]uint64 {
	b.t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(rec.PinPath, pinMaps, "seen"), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer m.Close()
	var out [2]uint64
	for i := range out {
		if err := m.Lookup(uint32(place*2+i), &out[i]); err != nil {
			b.t.Fatal(err)
		}
	}
	return out
}

// changes are what became of attachments and maps, by name.
func changes(u *Updated) map[string]string {
	out := map[string]string{}
	for _, a := range u.Attachments {
		out[a.Program] = a.Change
	}
	for _, m := range u.Maps {
		out[m.Map] = m.Change
	}
	return out
}

func TestUpdate(t *testing.T) {
	for _, options := range []string{"", ",via=clsact", ",priority=7,handle=3"} {
		t.Run("tc"+options, func(t *testing.T) {
			b := newBench(t)
			old := b.startV1(options)
			send(t, peer, 3)
			must[[]byte](t)(exec.Command("/bin/true").Output())
			u := b.update("up", updateImage(t, 2), UpdateOptions{})
			want := map[string]string{
				"xdp_see": ChangeSwapped, "tc_see": ChangeSwapped, "tracepoint_see": ChangeReattached,
				"raw_old": ChangeRemoved, "raw_new": ChangeAdded,
				"seen": ChangeKept, ".bss": ChangeKept, "flows": ChangeReplaced, "sized": ChangeReplaced,
				".data": ChangeReplaced, ".rodata": ChangeReplaced,
			}
			if got := changes(u); !maps.Equal(got, want) {
				t.Errorf("changes\n%v, want\n%v", got, want)
			}
			send(t, peer, 2)
			must[[]byte](t)(exec.Command("/bin/true").Output())
			for place, want := range map[int][2]uint64{
				placeXDP: {3, 2}, placeTC: {3, 2}, placeTracepoint: {1, 1}, placeRaw: {1, 1},
			} {
				if got := b.seen(u.Instance, place); got != want {
					// Other programs of the machine start others meanwhile.
					if place < placeTracepoint || got[0] < want[0] || got[1] < want[1] {
						t.Errorf("place %d: seen %v, want %v", place, got, want)
					}
				}
			}
			b.checkUpdatedRecord(old, u.Instance)
			b.stop(u.Instance)
		})
	}
}

// checkUpdatedRecord compares the records before and after an update to version 2.
func (b *bench) checkUpdatedRecord(old, now schemas.Instance) {
	b.t.Helper()
	if now.PreviousDigest != old.Digest || now.Digest == old.Digest || now.Updated == nil ||
		!now.Started.Equal(old.Started) || now.Updated.Before(old.Started) {
		b.t.Errorf("record: %+v", now)
	}
	byProgram := func(rec schemas.Instance, name string) schemas.InstanceLink {
		i := slices.IndexFunc(rec.Links, func(l schemas.InstanceLink) bool { return l.Program == name })
		if i < 0 {
			b.t.Fatalf("no link of %q in %+v", name, rec.Links)
		}
		return rec.Links[i]
	}
	for _, name := range []string{"xdp_see", "tc_see"} {
		was, is := byProgram(old, name), byProgram(now, name)
		if was.ID != is.ID || was.Pin != is.Pin || !maps.Equal(was.Options, is.Options) || was.CreatedQdisc != is.CreatedQdisc || !is.Asked {
			b.t.Errorf("link before %+v, after %+v", was, is)
		}
	}
	if was, is := byProgram(old, "tracepoint_see"), byProgram(now, "tracepoint_see"); was.ID == is.ID || was.Pin == is.Pin {
		b.t.Errorf("link before %+v, after %+v", was, is)
	}
}

func TestUpdateFreshMaps(t *testing.T) {
	b := newBench(t)
	b.startV1("")
	send(t, peer, 3)
	u := b.update("up", updateImage(t, 1), UpdateOptions{FreshMaps: true})
	send(t, peer, 1)
	if got := b.seen(u.Instance, placeXDP); got != [2]uint64{1, 0} {
		t.Errorf("seen %v", got)
	}
	for _, m := range u.Maps {
		if m.Change != ChangeReplaced {
			t.Errorf("map %+v", m)
		}
	}
	b.stop(u.Instance)
}

// TestUpdateMoves gives other places in the update.
func TestUpdateMoves(t *testing.T) {
	b := newBench(t)
	b.startV1("")
	u := b.update("up", updateImage(t, 2), UpdateOptions{Attach: attachments(t,
		"xdp_see=xdp:"+peer, "tc_see=tc:"+dev+",via=clsact,priority=4", "raw_new=none")})
	want := map[string]string{"xdp_see": ChangeReattached, "tc_see": ChangeReattached, "raw_new": "", "raw_old": ChangeRemoved}
	got := changes(u)
	for program, change := range want {
		if got[program] != change {
			t.Errorf("%s: %q, want %q", program, got[program], change)
		}
	}
	send(t, peer, 3)
	send(t, dev, 2)
	if x, c := b.seen(u.Instance, placeXDP), b.seen(u.Instance, placeTC); x != [2]uint64{0, 2} || c != [2]uint64{0, 3} {
		t.Errorf("seen by XDP %v, by tc %v", x, c)
	}
	// What was asked for stays, and what was not attached is not.
	u = b.update("up", updateImage(t, 2), UpdateOptions{Force: true})
	got = changes(u)
	if got["xdp_see"] != ChangeSwapped || got["tc_see"] != ChangeSwapped || got["raw_new"] != "" {
		t.Errorf("changes of the second update: %v", got)
	}
	// The qdisc made for the filter goes with the filter.
	b.update("up", updateImage(t, 2), UpdateOptions{Attach: attachments(t, "tc_see=tc:"+dev+",via=clsact,priority=5")})
	u = b.update("up", updateImage(t, 1), UpdateOptions{Attach: attachments(t, "tc_see=tc:"+dev+",priority=6,handle=2", "raw_old=none")})
	if err := b.Stop(t.Context(), "up"); err != nil {
		t.Fatal(err)
	}
	b.checkGone(u.Instance)
}

func TestUpdateRefused(t *testing.T) {
	b := newBench(t)
	rec := b.startV1("")
	for _, tc := range []struct {
		name   string
		v      *verify.Verified
		attach []string
		err    error
		words  []string
	}{
		{"verifier", verified(t, "up", objRejected), []string{"xdp_rejected=xdp:" + peer}, nil, []string{"the verifier rejected it"}},
		{"no target", updateImage(t, 2), []string{"xdp_see=xdp:eth77"}, ErrNoTarget, []string{`no interface "eth77"`}},
		{"other options", updateImage(t, 2), []string{"xdp_see=xdp:" + dev + ",mode=generic"}, nil, []string{"bpfimg stop up"}},
		{"no program", updateImage(t, 2), []string{"nobody=none"}, ErrUsage, []string{`no program "nobody"`}},
		{"no place", verified(t, "up", objCounter), nil, ErrUsage, []string{"xdp_count", "needs an interface"}},
	} {
		t.Log(tc.name)
		_, err := b.Update(t.Context(), "up", tc.v, UpdateOptions{Attach: attachments(t, tc.attach...)})
		wantError(t, err, tc.err, tc.words...)
		b.checkIntact(rec)
	}
	_, err := b.Update(t.Context(), "nobody", updateImage(t, 2), UpdateOptions{})
	wantError(t, err, ErrNoInstance, "nobody")
	b.stop(rec)
}

// TestUpdateForeground is about an instance that belongs to a living process.
func TestUpdateForeground(t *testing.T) {
	b := newBench(t)
	r, err := b.Run(t.Context(), updateImage(t, 1), RunOptions{Foreground: true, Attach: attachments(t,
		"xdp_see=xdp:"+dev, "tc_see=none", "cgroup_see=none")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Update(t.Context(), "up", updateImage(t, 2), UpdateOptions{})
	wantError(t, err, ErrUsage, "runs in the foreground")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUpdateForeign is about a link in which somebody has put another program.
func TestUpdateForeign(t *testing.T) {
	b := newBench(t)
	rec := b.start(updateImage(t, 1), RunOptions{Attach: attachments(t,
		"xdp_see=xdp:"+dev+",via=link", "tc_see=tc:"+dev, "cgroup_see=none")})
	held, err := link.LoadPinnedLink(rec.Links[slices.IndexFunc(rec.Links, func(l schemas.InstanceLink) bool { return l.Program == "xdp_see" })].Pin, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	theirs, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "MIT", Instructions: passAll()})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	// At the last moment, when all has been checked.
	b.opts.step = func(step string) error {
		if step == "swap xdp_see" {
			return held.Update(theirs)
		}
		return nil
	}
	b.reopen()
	_, err = b.Update(t.Context(), "up", updateImage(t, 2), UpdateOptions{})
	wantError(t, err, errForeign)
	b.disarm()
	_, err = b.Update(t.Context(), "up", updateImage(t, 2), UpdateOptions{})
	wantError(t, err, nil, "slot", "which bpfimg did not attach")
	if !strings.Contains(b.log.String(), "an attachment is not what it was") {
		t.Errorf("log: %s", b.log)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	b.stop(rec)
}
