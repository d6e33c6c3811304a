// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

func chainCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "chain",
		Usage:     "draw who handles the packets of an interface, in order: bpfimg's programs and everybody else's",
		ArgsUsage: "[INTERFACE]",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "netns", Usage: "network namespace of the interface: /run/netns/NAME or pid:NUMBER"},
			measureFlag(),
		},
		Action: withManager(term, func(s *session, manager *bpf.Manager) error {
			if s.c.NArg() > 1 {
				return usagef("chain: want one interface or none, got %d arguments", s.c.NArg())
			}
			d, err := s.measure()
			if err != nil {
				return err
			}
			chains, err := manager.Chain(s.c.Context, bpf.ChainOptions{
				Interface: s.c.Args().First(), Netns: s.c.String("netns"), Measure: d,
			})
			if err != nil {
				return err
			}
			return s.print(chains, func() error { return showChains(term, chains, s.c.Args().Present()) })
		}),
	}
}

func measureFlag() cli.Flag {
	return &cli.DurationFlag{Name: "measure", Usage: "have the kernel count runs for so long, such as 1s, and show those"}
}

// measure is the value of --measure, 0 when it is not given.
func (s *session) measure() (time.Duration, error) {
	d := s.c.Duration("measure")
	if s.c.IsSet("measure") && d <= 0 {
		return 0, usagef("--measure %s: want a duration above 0, such as 1s", d)
	}
	return d, nil
}

// showChains draws the chains, and what netfilter has in common once: within the
// only interface, or after all of them.
func showChains(term *terminal, chains bpf.Chains, one bool) error {
	var drawings [][]string
	for _, c := range chains.Interfaces {
		var shared []bpf.ChainStage
		if one {
			shared = chains.Netfilter
		}
		drawings = append(drawings, drawChain(c, shared, chains.Counting))
	}
	if !one && len(chains.Netfilter) > 0 {
		drawings = append(drawings, drawNetfilter(chains.Netfilter, chains.Counting))
	}
	for i, lines := range drawings {
		if i > 0 {
			lines = append([]string{""}, lines...)
		}
		if _, err := fmt.Fprintln(term.out, strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	chainNotices(term, chains)
	return nil
}

func chainNotices(term *terminal, chains bpf.Chains) {
	if len(chains.Interfaces)+len(chains.Netfilter) == 0 {
		term.notice("no interface of this network namespace has a program")
	}
	for _, c := range chains.Interfaces {
		for _, n := range c.Notices {
			term.notice("notice: %s: %s", c.Interface, n)
		}
		if c.Changing {
			term.notice("notice: %s: the chain changes all the time; this is how it was last seen", c.Interface)
		}
	}
}
