// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// hunt looks for the candidates of one image as far as somebody asks, in batches:
// for each subject at each source, the likely ones first. Only one goroutine at a
// time may use it.
type hunt struct {
	searches []*trail
	// ready is closed when the first batch has been begun.
	ready chan struct{}
	// ctx is for what is begun next. It ends with the hunt, or when its time is over:
	// that runs from the start, and anew from when somebody asks for more, since an
	// image may take long to download in between.
	ctx     context.Context
	renew   func()
	asked   bool
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// trail is one search of a hunt.
type trail struct {
	*search
	queue []job
	// listed says that the list of referrers was asked for, known that it is here.
	listed, known bool
	batch         int // how many the next one has at most
	last          int // how likely the latest job was
	begun         int // how many jobs were begun
	pending       int // how many arrivals are to come
	arrivals      chan arrival
	// prefetched says that its first batch was begun before anybody asked, found is
	// what has come of it.
	prefetched bool
	found      []Candidate
}

// arrival is what one request, or two, brought.
type arrival struct {
	n     int // the n-th that was begun
	found []Candidate
	jobs  []job // of a list
	list  bool
}

func newHunt(ctx context.Context, timeout time.Duration) *hunt {
	all, stop := context.WithCancel(ctx)
	first, done := context.WithTimeout(all, timeout)
	h := &hunt{ready: make(chan struct{}), ctx: first}
	h.renew = func() { h.ctx, done = context.WithTimeout(all, timeout) }
	h.cancel = func() {
		stop()
		done() // all has ended, and the first one with it: this frees the timer
	}
	return h
}

// begin runs what brings an arrival.
func (h *hunt) begin(t *trail, fetch func(context.Context) arrival) {
	t.pending++
	t.begun++
	n, ctx := t.begun, h.ctx
	h.running.Go(func() {
		a := fetch(ctx)
		a.n = n
		t.arrivals <- a
	})
}

// stop ends the hunt. It returns when nothing of it is under way any more: what is
// recorded of it then, such as by a [Memo], is all there will be.
func (h *hunt) stop() {
	h.cancel()
	<-h.ready
	h.running.Wait()
}

// follow adds a search: for one subject at the source of f. seen are the referrers
// that another search for the subject lists.
func (h *hunt) follow(f *fetch, subject digest.Digest, seen *sync.Map) {
	t := &trail{search: newSearch(f, subject, seen), batch: firstBatch, arrivals: make(chan arrival, maxParallel+1)}
	for _, form := range legacyForms {
		t.queue = append(t.queue, job{form: form, fetch: func(ctx context.Context, _ int) []Candidate {
			l := t.lookUp(ctx, form)
			return l.layers(ctx, l.claim(min(len(l.found), maxLegacy)))
		}})
	}
	h.searches = append(h.searches, t)
}

// start asks for the first list, and for what is likely in it.
func (h *hunt) start(ctx context.Context) {
	first := h.searches[0]
	first.prefetched = true
	h.list(first)
	go func() {
		defer close(h.ready)
		first.found = first.take(ctx, func() bool { return first.known })
		h.launch(first, Wanted{Signature: true})
	}()
}

func (h *hunt) list(t *trail) {
	t.listed = true
	h.begin(t, func(ctx context.Context) arrival { return arrival{jobs: t.list(ctx), list: true} })
}

// more returns the next candidates; false when there are no more.
func (h *hunt) more(ctx context.Context, want Wanted) (found []Candidate, more bool) {
	if !h.wait(ctx) {
		return nil, false
	}
	if !h.asked {
		h.asked = true
		h.renew()
	}
	for _, t := range h.searches {
		if !t.listed {
			h.list(t)
			t.found = t.take(ctx, func() bool { return t.known })
		}
		if t.prefetched || h.launch(t, want) {
			t.prefetched = false
			found = append(t.found, t.take(ctx, func() bool { return false })...)
			t.found = nil
			return found, true
		}
	}
	// Nothing is left to ask for. What is late may still come.
	for _, t := range h.searches {
		if t.pending > 0 {
			return t.take(ctx, func() bool { return false }), true
		}
	}
	h.stop()
	return nil, false
}

// wait waits until the first batch has been begun.
func (h *hunt) wait(ctx context.Context) bool {
	select {
	case <-h.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// launch begins the next batch of t: what is most likely, and what is as likely as
// that. It says whether there was anything.
func (h *hunt) launch(t *trail, want Wanted) bool {
	room, begun := min(t.batch, maxParallel-t.pending), 0
	if spare := t.spare(); spare <= 0 {
		t.tagsFirst(want)
	} else if t.awaitsTag(want) {
		room = min(room, spare)
	}
	likelyFirst(t.queue, want)
	for ; begun < room && len(t.queue) > 0; begun++ {
		j := t.queue[0]
		if begun > 0 && j.likely(want) != t.last {
			break
		}
		claimed := 0
		if j.form == nil && !j.failed {
			if claimed = t.claim(1); claimed == 0 {
				t.dropReferrers()
				continue
			}
		}
		t.last, t.queue = j.likely(want), t.queue[1:]
		h.begin(t, func(ctx context.Context) arrival { return arrival{found: j.fetch(ctx, claimed)} })
	}
	t.batch = min(2*t.batch, maxParallel)
	return begun > 0
}

// spare is how many referrers may be looked at before a tag that may hold what is
// wanted is.
func (t *trail) spare() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.left) - reservedForTags
}

// awaitsTag says that there is such a tag.
func (t *trail) awaitsTag(want Wanted) bool {
	return slices.ContainsFunc(t.queue, func(j job) bool { return j.form != nil && j.likely(want) == may })
}

// tagsFirst has such tags looked at next, whatever the list says of referrers: these
// must not use up all that may be looked at.
func (t *trail) tagsFirst(want Wanted) {
	for i, j := range t.queue {
		t.queue[i].due = j.due || j.form != nil && j.likely(want) == may
	}
}

// dropReferrers leaves all the rest, for the limit. One of them is counted already.
func (t *trail) dropReferrers() {
	n := len(t.queue)
	t.queue = slices.DeleteFunc(t.queue, func(j job) bool { return j.form == nil && !j.failed })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looked.OverLimit += n - len(t.queue) - 1
}

// take waits for what is to come, as long as it is worth it and enough does not say
// that there is enough. What came is in the order in which it was asked for.
func (t *trail) take(ctx context.Context, enough func() bool) []Candidate {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var came []arrival
	for late := false; t.pending > 0 && !late && !enough(); {
		select {
		case a := <-t.arrivals:
			t.pending--
			came = append(came, a)
			if a.list {
				t.known, t.queue = true, append(t.queue, a.jobs...)
			}
		case <-timer.C:
			late = true
		case <-ctx.Done():
			late = true
		}
	}
	slices.SortFunc(came, func(a, b arrival) int { return a.n - b.n })
	var found []Candidate
	for _, a := range came {
		found = append(found, a.found...)
	}
	return found
}

// looked says how far the hunt has come, by subject.
func (h *hunt) looked(ctx context.Context) (all []Looked) {
	if !h.wait(ctx) {
		return nil
	}
	for _, t := range h.searches {
		l := t.report()
		l.NotNeeded = len(t.queue) + t.pending
		i := slices.IndexFunc(all, func(old Looked) bool { return old.Subject == l.Subject })
		switch {
		case i < 0:
			all = append(all, l)
		case t.listed:
			all[i].add(l)
		}
	}
	return all
}
