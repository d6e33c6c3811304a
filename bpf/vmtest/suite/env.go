// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// errDevice: the row needs a device that is not there.
var errDevice = errors.New("needs a device")

// env is what a row works with. The whole suite runs in one network namespace of
// its own, on one thread at a time, as root.
type env struct {
	dev, peer   string
	cgroup, dir string
	vars        map[string]string
	undo        []func() error
	// stdin and stdout are of a process that setup has started.
	stdin  io.WriteCloser
	stdout io.Reader
	// instance is what `bpfimg run` has printed, once it has.
	instance schemas.Instance
	// slot is the program of loadSlot.
	slot *ebpf.Program
}

// set makes $name stand for value in the row's attach and flags.
func (e *env) set(name, value string) {
	if e.vars == nil {
		e.vars = map[string]string{}
	}
	e.vars[name] = value
}

// cleanup has f called at the end of the row, last come first.
func (e *env) cleanup(f func() error) { e.undo = append(e.undo, f) }

// Names of the interfaces of a row.
const (
	devName  = "bpfimg0"
	peerName = "bpfimg1"
)

// newEnv makes what every row finds.
func (g *engine) newEnv() (_ *env, err error) {
	e := &env{dev: devName, peer: peerName, cgroup: filepath.Join(g.cgroups, "row")}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if e.dir, err = os.MkdirTemp(g.dir, "row-"); err != nil {
		return nil, err
	}
	e.cleanup(func() error { return os.RemoveAll(e.dir) })
	if err := os.Mkdir(e.cgroup, 0o755); err != nil {
		return nil, fmt.Errorf("making a cgroup: %w", err)
	}
	e.cleanup(func() error { return unix.Rmdir(e.cgroup) })
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: e.dev}, PeerName: e.peer}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("making a veth pair: %w", err)
	}
	e.cleanup(func() error { return deleteLink(e.dev) })
	for name, value := range map[string]string{
		"DEV": e.dev, "PEER": e.peer, "CGROUP": e.cgroup, "DIR": e.dir, "SELF": self,
	} {
		e.set(name, value)
	}
	return e, errors.Join(setUp(e.dev), setUp(e.peer))
}

// deleteLink deletes an interface that may have gone already.
func deleteLink(name string) error {
	l, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	// It also goes with its other end, when the kernel gets to that.
	if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("deleting interface %s: %w", name, err)
	}
	return nil
}

// close undoes what the row did, last come first.
func (e *env) close() error {
	var errs []error
	for len(e.undo) > 0 {
		last := len(e.undo) - 1
		errs = append(errs, e.undo[last]())
		e.undo = e.undo[:last]
	}
	return errors.Join(errs...)
}

// expand replaces every $NAME in the list; the error names one that nothing is
// known about.
func (e *env) expand(list []string) ([]string, error) {
	var err error
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = os.Expand(text, func(name string) string {
			value, ok := e.vars[name]
			if !ok {
				err = fmt.Errorf("nothing has set $%s in %q", name, text)
			}
			return value
		})
	}
	return out, err
}
