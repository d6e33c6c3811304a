// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func runCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "pull, verify, load and attach an image; its programs keep running",
		ArgsUsage: "REFERENCE",
		Flags: trustFlags(insecureFlag(),
			&cli.StringSliceFlag{Name: "attach", Usage: "PROGRAM=HOOK[:TARGET][,option=value…], such as xdp_count=xdp:eth0,mode=native (repeatable)"},
			&cli.StringFlag{Name: "iface", Usage: "interface for the one network program of the image"},
			&cli.StringFlag{Name: "name", Usage: "name of the instance", DefaultText: "last part of the repository"},
			setFlag(), maxEntriesFlag(),
			&cli.StringSliceFlag{Name: "use-map", Usage: "MAP=PATH: use the map pinned there instead of making one (repeatable)"},
			&cli.StringSliceFlag{Name: "share-maps", Usage: "INSTANCE: use its maps where names are the same (repeatable)"},
			&cli.StringFlag{Name: "map-mode", Usage: "mode of the maps' pins, such as 0660", DefaultText: "0600, or 0660 with --map-group"},
			&cli.StringFlag{Name: "map-group", Usage: "group that may open the maps' pins, by name or number"},
			btfFlag(),
			&cli.BoolFlag{Name: "foreground", Usage: "stay attached until Ctrl-C, then detach"},
			pullFlag(pullMissing), platformFlag(), bpffsFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withImage(term, (*session).run),
	}
}

func (s *session) run(ref image.Reference) error {
	opts, err := s.runOptions()
	if err != nil {
		return err
	}
	var running *bpf.Running
	err = s.withVerified(ref, nil, func(ctx context.Context, manager *bpf.Manager, v *verify.Verified) (err error) {
		if running, err = manager.Run(ctx, v, opts); err != nil {
			return fmt.Errorf("running %s@%s: %w", ref.Name(), v.Digest(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = s.print(running.Instance, func() error { return showRunning(s.term, running.Instance) })
	if opts.Foreground && err == nil {
		s.term.notice("attached; Ctrl-C detaches")
		<-s.c.Context.Done()
	}
	return joined.Errors(err, running.Close())
}

func (s *session) runOptions() (bpf.RunOptions, error) {
	opts := bpf.RunOptions{
		Name:       s.c.String("name"),
		Iface:      s.c.String("iface"),
		Foreground: s.c.Bool("foreground"),
	}
	for _, text := range s.c.StringSlice("attach") {
		a, err := schemas.ParseAttachment(text)
		if err != nil {
			return opts, usageError{err}
		}
		opts.Attach = append(opts.Attach, a)
	}
	if err := s.mapOptions(&opts); err != nil {
		return opts, err
	}
	var err error
	opts.KernelBTF, err = s.kernelBTF()
	return opts, err
}

// showRunning leaves notices out: they were logged when they arose.
func showRunning(term *terminal, in schemas.Instance) error {
	for _, l := range in.Links {
		if _, err := fmt.Fprintf(term.out, "%s: %s attached to %s\n", safe(in.Name), safe(l.Program), safe(linkText(l))); err != nil {
			return err
		}
	}
	if in.PinPath == "" {
		return nil
	}
	if err := showMaps(term, in); err != nil {
		return err
	}
	_, err := fmt.Fprintf(term.out, "%s: pinned under %s\n", safe(in.Name), safe(in.PinPath))
	return err
}

// linkText spells a link as --attach does, without the program.
func linkText(l schemas.InstanceLink) string {
	return schemas.Attachment{Hook: l.Hook, Target: l.Target, Options: l.Options}.String()
}
