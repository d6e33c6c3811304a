// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// built is a dispatcher that is not attached yet.
type built struct {
	prog       *ebpf.Program
	id         uint32
	config     config
	components []component
	links      []*link.RawLink
	folder     string // "" before it is pinned
}

// replace builds a dispatcher for list, pins it, puts it in the place of what is
// there and takes the pins of that away. Before the exchange an error undoes what
// was built; after it, it undoes the exchange too.
func (d *Dispatchers) replace(s *snapshot, list []component, mode string) (chain Chain, err error) {
	b, err := d.build(list)
	defer func() { err = joined.Errors(err, b.close()) }()
	if err != nil {
		return Chain{}, fmt.Errorf("interface %d: %w", s.ifindex, err)
	}
	defer func() {
		if err != nil && b.folder != "" {
			err = joined.Errors(err, removeFolder(b.folder))
		}
	}()
	if err := d.pin(s.ifindex, b); err != nil {
		return Chain{}, err
	}
	mode, notNative, err := d.attach(s, b, mode)
	if err != nil {
		return Chain{}, err
	}
	if err := d.at("unpin"); err != nil {
		return Chain{}, joined.Errors(err, undo(s, b, mode))
	}
	d.forget(s)
	return Chain{
		Ifindex: s.ifindex, Mode: mode, ID: b.id, Version: Version,
		Frags: b.config.frags, Programs: programs(list), NotNative: notNative,
	}, nil
}

func (b *built) close() error {
	if b == nil {
		return nil
	}
	var errs []error
	for _, l := range b.links {
		errs = append(errs, l.Close())
	}
	return joined.Errors(append(errs, b.prog.Close())...)
}

// build loads a dispatcher and links list to its stubs. What there is of it when
// an error comes is returned too.
func (d *Dispatchers) build(list []component) (*built, error) {
	c := config{version: Version, frags: true}
	for _, p := range list {
		c.slots = append(c.slots, slotConfig{proceedOn: p.ProceedOn, priority: p.Priority, frags: p.Frags})
		c.frags = c.frags && p.Frags
	}
	if err := d.at("load"); err != nil {
		return nil, err
	}
	prog, c, err := loadDispatcher(c)
	if err != nil {
		return nil, err
	}
	b := &built{prog: prog, config: c, components: list}
	info, err := prog.Info()
	if err != nil {
		return b, fmt.Errorf("reading the new dispatcher: %w", err)
	}
	id, _ := info.ID()
	b.id = uint32(id)
	return b, d.link(b)
}

// link attaches every component to its function.
func (d *Dispatchers) link(b *built) error {
	types, err := typesOf(b.prog)
	if err != nil {
		return err
	}
	for i, c := range b.components {
		if err := d.at(fmt.Sprintf("link %d", i)); err != nil {
			return err
		}
		l, err := linkTo(b.prog, types, linkFunction(i, len(b.components)), c.prog)
		if err != nil {
			return fmt.Errorf("linking program %d %q into slot %d of the dispatcher: %w%s", c.ID, c.Name, i, err, linkHint(c, err))
		}
		b.links = append(b.links, l)
	}
	return nil
}

// linkHint says why a program is refused that somebody else's dispatcher had.
func linkHint(c component, err error) string {
	if !c.loaded || !errors.Is(err, unix.EINVAL) {
		return ""
	}
	return " (it was loaded for a dispatcher of another kind, such as very old versions of libxdp make, or the kernel is older than 5.10)"
}

func typesOf(prog *ebpf.Program) (spec *btf.Spec, err error) {
	handle, err := prog.Handle()
	if err != nil {
		return nil, fmt.Errorf("opening the types of the dispatcher: %w", err)
	}
	defer func() { err = joined.Errors(err, handle.Close()) }()
	return handle.Spec(nil)
}

// linkTo puts prog in the place of a function of target.
func linkTo(target *ebpf.Program, types *btf.Spec, function string, prog *ebpf.Program) (*link.RawLink, error) {
	var f *btf.Func
	if err := types.TypeByName(function, &f); err != nil {
		return nil, err
	}
	id, err := types.TypeID(f)
	if err != nil {
		return nil, err
	}
	return link.AttachRawLink(link.RawLinkOptions{Target: target.FD(), Program: prog, Attach: ebpf.AttachNone, BTF: id})
}

// pin makes the links last.
func (d *Dispatchers) pin(ifindex int, b *built) error {
	if err := d.at("make folder"); err != nil {
		return err
	}
	folder := filepath.Join(d.folder, folderName(ifindex, b.id))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("making the folder of the pins: %w", err)
	}
	b.folder = folder
	for i, c := range b.components {
		if err := d.at(fmt.Sprintf("pin link %d", i)); err != nil {
			return err
		}
		if err := b.links[i].Pin(filepath.Join(folder, linkPin(i))); err != nil {
			return fmt.Errorf("pinning the link of slot %d: %w", i, err)
		}
		if err := d.at(fmt.Sprintf("pin program %d", i)); err != nil {
			return err
		}
		if err := pinProgram(c.prog, filepath.Join(folder, progPin(i))); err != nil {
			return fmt.Errorf("pinning the program of slot %d: %w", i, err)
		}
	}
	return nil
}

// pinProgram pins a copy: the library moves the pin of one that has a pin already,
// such as the caller's.
func pinProgram(prog *ebpf.Program, path string) (err error) {
	again, err := prog.Clone()
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, again.Close()) }()
	return again.Pin(path)
}

// attach puts b into the slot, in the place of what s found there, and says by
// which mode; notNative is why that is not the native one where both are right. It
// is in force when attach returns without an error.
func (d *Dispatchers) attach(s *snapshot, b *built, mode string) (_ string, notNative, err error) {
	if err := d.at("attach"); err != nil {
		return "", nil, err
	}
	set := func(mode string, old int) error {
		err := setSlot(s.ifindex, mode, b.prog.FD(), old)
		if DriverLacksXDP(err) {
			err = fmt.Errorf("%w%s", err, fragsHint(s, b))
		}
		return attachError(s.ifindex, mode, err)
	}
	if before := s.before(); before != nil {
		return s.mode, nil, set(s.mode, before.FD())
	}
	if mode != "" {
		return mode, nil, set(mode, -1)
	}
	if notNative = set(ModeNative, -1); !DriverLacksXDP(notNative) {
		return ModeNative, nil, notNative
	}
	if err := set(ModeGeneric, -1); err != nil {
		return "", nil, err
	}
	return ModeGeneric, notNative, nil
}

// fragsHint says what a driver misses that took the dispatcher before.
func fragsHint(s *snapshot, b *built) string {
	if s.dispatcher == nil || !s.dispatcher.config.frags || b.config.frags {
		return ""
	}
	return " (with this MTU every program must be made for packets in several buffers, section xdp.frags)"
}

// DriverLacksXDP says whether err is how a driver refuses native mode as such: it
// has none (EOPNOTSUPP, or ENOTSUPP, which is 524 and the kernel's own), or not
// with the interface's present settings, such as its MTU (EINVAL and relatives).
func DriverLacksXDP(err error) bool {
	for _, errno := range []unix.Errno{unix.EOPNOTSUPP, unix.EINVAL, unix.Errno(524), unix.ERANGE} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// attachError wraps err, as [errChanged] when the kernel found something else in
// the slot than it was told.
func attachError(ifindex int, mode string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("interface %d: what is in its XDP slot %w: %w", ifindex, errChanged, err)
	default:
		return fmt.Errorf("attaching the dispatcher to interface %d in %s mode: %w", ifindex, mode, err)
	}
}

// detach takes the last dispatcher away.
func (d *Dispatchers) detach(s *snapshot) error {
	if err := d.at("detach"); err != nil {
		return err
	}
	if err := attachError(s.ifindex, s.mode, setSlot(s.ifindex, s.mode, -1, s.dispatcher.prog.FD())); err != nil {
		return err
	}
	if err := d.at("unpin"); err != nil {
		return joined.Errors(err, undo(s, nil, s.mode))
	}
	d.forget(s)
	return nil
}

// undo puts back what was there before b, nil for nothing, was.
func undo(s *snapshot, b *built, mode string) error {
	now, before := -1, -1
	if b != nil {
		now = b.prog.FD()
	}
	if prog := s.before(); prog != nil {
		before = prog.FD()
	}
	if err := setSlot(s.ifindex, mode, before, now); err != nil {
		return fmt.Errorf("putting back what was on interface %d: %w", s.ifindex, err)
	}
	waitForPackets()
	return nil
}

// forget takes the pins of a dispatcher away that is not attached any more. That
// this fails changes nothing for packets: [Dispatchers.Stale] finds what is left.
func (d *Dispatchers) forget(s *snapshot) {
	if s.dispatcher == nil {
		return
	}
	waitForPackets()
	_ = removeFolder(filepath.Join(d.folder, folderName(s.ifindex, s.id)))
}

// removeFolder removes the pins of a dispatcher and their folder. What else is in
// there stays, and is an error.
func removeFolder(folder string) error {
	var errs []error
	for slot := range Slots {
		for _, name := range []string{linkPin(slot), progPin(slot)} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil && !gone(err) {
				errs = append(errs, err)
			}
		}
	}
	if err := os.Remove(folder); err != nil && !gone(err) {
		errs = append(errs, err)
	}
	return joined.Errors(errs...)
}
