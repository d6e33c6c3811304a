// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// mountAsks serves a registry at each host, and notes what they are asked to mount
// from where.
type mountAsks struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
	// from are the repositories by the host that was asked.
	from map[string][]string
}

func (m *mountAsks) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	m.mu.Lock()
	h := m.hosts[req.Host]
	if query := req.URL.Query(); query.Has("mount") || query.Has("from") {
		m.from[req.Host] = append(m.from[req.Host], query.Get("from"))
	}
	m.mu.Unlock()
	h.ServeHTTP(w, req)
}

// TestMountOnlyWithinRegistry: a registry is asked to mount what is in it, and never
// what another one has, whose repositories it need not know of.
func TestMountOnlyWithinRegistry(t *testing.T) {
	t.Parallel()
	const here, there = "localhost:1", "localhost:2"
	fromRegistry := func(_ *testing.T, r *Registry, _ testImage) Source { return r }
	fromStore := func(t *testing.T, _ *Registry, im testImage) Source {
		s := newStore(t)
		im.put(t, s, mustParse(t, here+"/src:v1"))
		im.put(t, s, mustParse(t, "registry.example/other:v1"))
		return s
	}
	rows := []struct {
		name     string
		src      func(*testing.T, *Registry, testImage) Source
		srcRef   string
		dst      string
		settings string
		// want are the repositories that are mounted from, by host.
		want map[string]string
	}{
		{"within a registry", fromRegistry, here + "/src:v1", here + "/dst:v1", "", map[string]string{here: "src"}},
		{"to another registry", fromRegistry, here + "/src:v1", there + "/dst:v1", "", nil},
		{"to the same name at another", fromRegistry, here + "/src:v1", there + "/src:v1", "", nil},
		{"from the store, pulled from here", fromStore, here + "/src:v1", here + "/dst:v1", "", map[string]string{here: "src"}},
		{"from the store, pulled from another", fromStore, here + "/src:v1", there + "/dst:v1", "", nil},
		{
			"what is really at another", fromRegistry, here + "/src:v1", here + "/dst:v1",
			"registries: [{prefix: '" + here + "/src', location: '" + there + "/src'}]", nil,
		},
		{
			"to what is really at another", fromRegistry, here + "/src:v1", here + "/dst:v1",
			"registries: [{prefix: '" + here + "/dst', location: '" + there + "/dst'}]", nil,
		},
		{
			"both really at another", fromRegistry, here + "/src:v1", here + "/dst:v1",
			"registries: [{prefix: '" + here + "', location: '" + there + "/moved'}]",
			map[string]string{there: "moved/src"},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			asks := &mountAsks{hosts: map[string]http.Handler{}, from: map[string][]string{}}
			for _, host := range []string{here, there} {
				registry, err := testregistry.New(testregistry.Options{})
				if err != nil {
					t.Fatal(err)
				}
				asks.hosts[host] = registry
			}
			r := withSettings(t, row.settings, RegistryOptions{Transport: testregistry.InProcess(asks)})
			im := newImage(t, "mounted", nil)
			im.put(t, r, mustParse(t, row.srcRef))
			dst := mustParse(t, row.dst)
			if _, err := Copy(t.Context(), r, dst, row.src(t, r, im), mustParse(t, row.srcRef), CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			im.check(t, r, dst)
			got := map[string]string{}
			for host, from := range asks.from {
				slices.Sort(from)
				got[host] = strings.Join(slices.Compact(from), ", ")
			}
			if !maps.Equal(got, row.want) {
				t.Errorf("asked to mount from %v, want %v", got, row.want)
			}
		})
	}
}
