// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/schemas"
)

// undoTime bounds undoing a run whose own context may have ended.
const undoTime = 10 * time.Second

// attach puts one program in its place and pins the link.
func (s *starting) attach(ctx context.Context, i int, pl *placement) error {
	if err := s.m.at(ctx, "attach "+pl.link.Program); err != nil {
		return err
	}
	var held io.Closer
	err := inNetns(pl.link.NetnsPath, func() (err error) {
		held, err = pl.hook.attach(ctx, s.host, pl, s.objs.program(pl.link.Program))
		return err
	})
	s.rec.Links[i] = pl.link
	if err != nil || held == nil {
		return err
	}
	s.held = append(s.held, held)
	switch held := held.(type) {
	case links:
		err = s.keep(ctx, pl, held)
	case link.Link:
		err = s.keep(ctx, pl, links{held})
	}
	s.rec.Links[i] = pl.link
	return err
}

// links hold a program in several places at once, such as one for each CPU. They
// are one attachment: a hook that returns them has made all or none. Each is
// pinned, the first where a single one would be, and recorded.
type links []link.Link

// Close closes all.
func (l links) Close() error { return closeAll(l) }

// closeAll closes all of a list, also when one fails.
func closeAll[T io.Closer](list []T) error {
	errs := make([]error, len(list))
	for i := range list {
		errs[i] = list[i].Close()
	}
	return joined.Errors(errs...)
}

// keep records and pins what holds a placement.
func (s *starting) keep(ctx context.Context, pl *placement, all links) error {
	for i, l := range all {
		part := schemas.InstanceLinkPart{Pin: pl.link.Pin}
		if i > 0 && part.Pin != "" {
			part.Pin = fmt.Sprintf("%s-%d", pl.link.Pin, i)
		}
		info, err := l.Info()
		switch {
		case errors.Is(err, ebpf.ErrNotSupported):
			// Not a bpf_link but a perf event with a program on it.
		case err != nil:
			return fmt.Errorf("reading back the link of %s: %w", pl, err)
		default:
			part.ID = uint32(info.ID)
		}
		if i == 0 {
			pl.link.ID = part.ID
		} else {
			pl.link.More = append(pl.link.More, part)
		}
		if err := s.pinLink(ctx, pl, l, part.Pin); err != nil {
			return err
		}
	}
	return nil
}

// pinLink makes an attachment outlive the process.
func (s *starting) pinLink(ctx context.Context, pl *placement, l link.Link, path string) error {
	if s.rec.Foreground {
		return nil
	}
	if err := s.m.at(ctx, "pin link "+pl.link.Program); err != nil {
		return err
	}
	err := l.Pin(path)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%s: %w; --foreground attaches it for as long as bpfimg runs", pl,
			unsupported("keeping a probe, tracepoint or perf event attached without its process", "5.15"))
	}
	if err != nil {
		return fmt.Errorf("pinning the link of %s: %w", pl, err)
	}
	return nil
}

// release closes the descriptors of a started instance: its pins hold it now.
func (s *starting) release() error {
	err := closeAll(s.held)
	s.held = nil
	s.objs.Close()
	if err != nil {
		return fmt.Errorf("closing the links of instance %q: %w", s.rec.Name, err)
	}
	return nil
}

// undo takes back everything start has done, in spite of an ended ctx.
func (s *starting) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	// Descriptors first: an open link stays attached however often it is unpinned.
	err := s.release()
	err = joined.Errors(err, s.m.remove(ctx, s.rec.Name, s.rec))
	if s.holder != nil {
		err = joined.Errors(err, s.holder.Unlock())
	}
	if err != nil {
		return fmt.Errorf("undoing it: %w", err)
	}
	return nil
}

// end is the Close of a foreground run.
func (s *starting) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	lock, err := s.m.lock(ctx)
	if err != nil {
		// Detaching matters more than order: what is left is cleared by the next
		// run or stop.
		return joined.Errors(err, s.release(), s.holder.Unlock())
	}
	return joined.Errors(s.undo(ctx), lock.Unlock())
}

// holderPath is the lock file a foreground run holds while it lives.
func (m *Manager) holderPath(name string) string {
	return filepath.Join(m.state, "foreground", name)
}

func (s *starting) hold() error {
	path := s.m.holderPath(s.rec.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder for foreground runs: %w", err)
	}
	holder, pid, err := tryLock(path)
	if err != nil {
		return err
	}
	if holder == nil {
		return fmt.Errorf("%w: %q runs in the foreground of process %s", ErrExists, s.rec.Name, pid)
	}
	s.holder = holder
	return nil
}

// heldBy is the process of a foreground run, "" when that has ended.
func (m *Manager) heldBy(rec *schemas.Instance) (string, error) {
	if !rec.Foreground {
		return "", nil
	}
	path := m.holderPath(rec.Name)
	if _, err := os.Stat(path); err != nil {
		return "", nil // never held
	}
	l, pid, err := tryLock(path)
	if err != nil || l == nil {
		return pid, err
	}
	return "", l.Unlock()
}
