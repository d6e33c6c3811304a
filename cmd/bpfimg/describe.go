// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

func describeCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "describe",
		Usage:     "show all there is to know of a running instance",
		ArgsUsage: "NAME",
		Flags:     []cli.Flag{bpffsFlag(), outputFlag()},
		Action: withManager(term, func(s *session, manager *bpf.Manager) error {
			if s.c.NArg() != 1 {
				return usagef("describe: want NAME, got %d arguments; `bpfimg ps` lists them", s.c.NArg())
			}
			d, err := manager.Describe(s.c.Context, s.c.Args().First())
			if err != nil {
				return err
			}
			return s.print(d, func() error { return showDescription(s.term, d) })
		}),
	}
}

func showDescription(term *terminal, d bpf.Description) error {
	if err := term.table(nil, aboutInstance(d)); err != nil {
		return err
	}
	for _, section := range []struct {
		title  string
		header []string
		rows   [][]string
	}{
		{"Attachments", []string{"PROGRAM", "HOOK", "VIA", "ORDER", "LINK ID", "NETNS", "PIN"}, linkRows(d)},
		{"Programs", []string{"NAME", "TYPE", "ID", "TAG", "RUNS", "AVERAGE", "INSTRUCTIONS", "JITED", "MEMORY", "PIN"}, programRows(d)},
		{"Maps", []string{"NAME", "TYPE", "ID", "KEY", "VALUE", "MAX ENTRIES", "FLAGS", "MEMORY", "PIN"}, mapRows(d)},
	} {
		if len(section.rows) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(term.out, "\n%s:\n", section.title); err != nil {
			return err
		}
		if err := term.table(section.header, section.rows); err != nil {
			return err
		}
	}
	return nil
}

// aboutInstance are the lines above the tables.
func aboutInstance(d bpf.Description) [][]string {
	rows := [][]string{
		{"Name:", d.Name}, {"State:", state(d.Status)}, {"Image:", d.Reference}, {"Digest:", d.Digest},
	}
	if d.Unverified {
		rows = append(rows, []string{"Signer:", "UNVERIFIED"})
	}
	for _, s := range d.Signers {
		rows = append(rows, []string{"Signer:", strings.Join(append(signerWords(s), fmt.Sprintf("(%s %s)", s.Format, s.Digest)), " ")})
	}
	rows = append(rows, []string{"Since:", sinceText(d.Started)})
	if d.Updated != nil {
		rows = append(rows, []string{"Updated:", sinceText(*d.Updated)}, []string{"Previous:", d.PreviousDigest})
	}
	rows = append(rows, []string{"Pins:", d.PinPath}, []string{"Map memory:", bytesText(d.MapMemory)})
	for _, l := range d.Links {
		for _, notice := range l.Notices {
			rows = append(rows, []string{"Notice:", notice})
		}
	}
	for _, p := range d.Problems {
		rows = append(rows, []string{"Problem:", p})
	}
	return rows
}

func linkRows(d bpf.Description) [][]string {
	orders := map[string]string{}
	for _, o := range d.Orders {
		orders[o.Program] = fmt.Sprintf("%d of %d", o.Position, o.Of)
	}
	var rows [][]string
	for _, l := range d.Links {
		order, ok := orders[l.Program]
		if !ok {
			order = "-"
		}
		rows = append(rows, []string{l.Program, linkText(l), l.Via, order, number(uint64(l.ID)), number(l.Netns), l.Pin})
	}
	return rows
}

func programRows(d bpf.Description) [][]string {
	details := map[string]bpf.ProgramDetail{}
	for _, p := range d.ProgramDetails {
		details[p.Name] = p
	}
	var rows [][]string
	for _, p := range d.Programs {
		detail := details[p.Name]
		count, average := runsText(d.Status, p.Name)
		rows = append(rows, []string{
			p.Name, p.Type, number(uint64(p.ID)), p.Tag, count, average,
			number(uint64(detail.Verified)), bytesText(uint64(detail.Jited)), bytesText(detail.Memory), p.Pin,
		})
	}
	return rows
}

func mapRows(d bpf.Description) [][]string {
	details := map[string]bpf.MapDetail{}
	for _, m := range d.MapDetails {
		details[m.Name] = m
	}
	var rows [][]string
	for _, m := range d.Maps {
		detail := details[m.Name]
		rows = append(rows, []string{
			m.Name, m.Type, number(uint64(m.ID)), bytesText(uint64(detail.KeySize)), bytesText(uint64(detail.ValueSize)),
			number(uint64(detail.MaxEntries)), fmt.Sprintf("0x%x", detail.Flags), bytesText(detail.Memory), m.Pin,
		})
	}
	return rows
}

// runsText is how often a program ran and how long it took on average; "-" when
// the kernel did not count.
func runsText(st bpf.Status, program string) (count, average string) {
	for _, r := range st.Runs {
		if r.Program == program && (r.Count > 0 || st.Counting) {
			return fmt.Sprint(r.Count), r.Average().String()
		}
	}
	return "-", "-"
}

// number is n in decimal, "-" when the kernel did not say.
func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// bytesText is a size in bytes, "-" when the kernel did not say.
func bytesText(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d B", n)
}
