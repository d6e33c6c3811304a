// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cuttingProxy passes TCP connections on to behind, and cuts the one on which the
// last of n bytes either way goes, the first times that happens. Which connections
// the bytes before went over does not matter: a client may not use one again.
type cuttingProxy struct {
	behind string
	n      int64
	times  atomic.Int32
	cuts   atomic.Int32
	wg     sync.WaitGroup

	mu sync.Mutex
	// left is how many bytes go before the next cut, to behind and back.
	left [2]int64
}

// newCuttingProxy returns the proxy and its address.
func newCuttingProxy(t *testing.T, behind string, n int64, times int32) (*cuttingProxy, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &cuttingProxy{behind: behind, n: n, left: [2]int64{n, n}}
	p.times.Store(times)
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			p.wg.Go(func() { p.pass(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		p.wg.Wait()
	})
	return p, listener.Addr().String()
}

func (p *cuttingProxy) pass(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.behind)
	if err != nil {
		return
	}
	defer server.Close()
	both := make(chan struct{}, 2)
	for way, pair := range [][2]net.Conn{{server, client}, {client, server}} {
		p.wg.Go(func() {
			p.copy(pair[0], pair[1], way)
			both <- struct{}{}
		})
	}
	select { // the deferred calls end the other direction
	case <-both:
	case <-ctx.Done():
	}
}

// copy copies one way until the connection ends or is to be cut.
func (p *cuttingProxy) copy(to io.Writer, from io.Reader, way int) {
	buffer := make([]byte, 32<<10)
	for p.times.Load() > 0 {
		n, err := from.Read(buffer[:p.before(way, len(buffer))])
		if _, writeErr := to.Write(buffer[:n]); writeErr != nil || p.cut(way, n) || err != nil {
			return
		}
	}
	_, _ = io.Copy(to, from) // no cuts any more
}

// before is how many bytes may be read before the next cut, at most most.
func (p *cuttingProxy) before(way, most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(min(int64(most), p.left[way]))
}

// cut says whether the connection over which n bytes went is to be cut now.
func (p *cuttingProxy) cut(way, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left[way] -= int64(n); p.left[way] > 0 {
		return false
	}
	p.left[way] = p.n
	if p.times.Add(-1) < 0 {
		return false
	}
	p.cuts.Add(1)
	return true
}

// TestRealRegistriesCutOff: the registries people run, behind a line that breaks
// in the middle of uploads and downloads.
func TestRealRegistriesCutOff(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(5 << 20)
	for _, program := range []string{"docker-registry", "registry"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			behind := distributionServer(t, program)
			retry := Retry{Attempts: 4, Delay: time.Millisecond, MaxDelay: time.Second}
			for name, row := range map[string]struct {
				chunk, n int64
			}{
				"in chunks":        {1 << 20, 2_500_000},
				"in one piece":     {8 << 20, 2_500_000},
				"cut between them": {1 << 20, 1 << 20},
			} {
				proxy, host := newCuttingProxy(t, behind, row.n, 2)
				ref := mustParse(t, host+"/net/"+map[string]string{"in chunks": "a", "in one piece": "b", "cut between them": "c"}[name]+":v1")
				r := testClient(t, RegistryOptions{ChunkSize: row.chunk, Retry: retry})
				if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if proxy.cuts.Load() != 2 {
					t.Errorf("%s: %d uploads were cut", name, proxy.cuts.Load())
				}
				_, host = newCuttingProxy(t, behind, row.n, 3)
				at := mustParse(t, host+"/"+ref.Repository()+":v1")
				var ends []int64
				last := int64(0)
				r = testClient(t, RegistryOptions{Retry: retry, Progress: func(e Event) {
					if e.Done < last {
						ends = append(ends, last)
					}
					last = e.Done
				}})
				if got, err := r.Blob(t.Context(), at, desc, MaxLayer); err != nil || string(got) != string(data) {
					t.Errorf("%s: got %d bytes, %v", name, len(got), err)
				}
				if len(ends) > 0 {
					t.Errorf("%s: the download began anew after %v bytes", name, ends)
				}
			}
		})
	}
}
