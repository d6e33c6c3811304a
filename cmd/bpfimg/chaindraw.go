// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/bpf"
)

// chainColumns are the columns of a drawn chain after its first, the tree.
var chainColumns = []string{"PRIORITY", "INSTANCE", "PROGRAM", "ID", "NEXT ON", "RUNS", "AVERAGE", "PIN"}

// chainLine is a line of a drawing: a tree and cells, or a title that goes across
// all of them.
type chainLine struct {
	tree, title string
	cells       []string
}

// chainDrawing collects lines, so that the columns of all stages are aligned.
type chainDrawing struct {
	lines    []chainLine
	counting bool
	// marked says that a program of bpfimg is there, number counts all of them.
	marked bool
	number int
}

// drawChain draws one interface, with what the namespace shares in its place
// between what arrives and what leaves.
func drawChain(c bpf.Chain, shared []bpf.ChainStage, counting bool) []string {
	about := fmt.Sprintf("%s (interface %d, %s)", safe(c.Interface), c.Ifindex, safe(c.Kind))
	in, out := slices.Clone(c.Ingress), []bpf.ChainStage(nil)
	for _, s := range shared {
		if leaving(s) {
			out = append(out, s)
		} else {
			in = append(in, s)
		}
	}
	out = append(out, c.Egress...)
	if len(in)+len(out) == 0 {
		return []string{about + ": no programs"}
	}
	d := &chainDrawing{counting: counting}
	d.packets("packets that arrive", in)
	d.packets("packets that leave", out)
	return d.aligned(about)
}

// drawNetfilter draws what belongs to no interface.
func drawNetfilter(stages []bpf.ChainStage, counting bool) []string {
	d := &chainDrawing{counting: counting}
	d.packets("packets of all interfaces", stages)
	return d.aligned("netfilter of this network namespace")
}

// leaving says whether a stage of netfilter is after the network stack.
func leaving(s bpf.ChainStage) bool {
	return s.Stage == bpf.StageNetfilter+"output" || s.Stage == bpf.StageNetfilter+"postrouting"
}

// packets draws the stages of one direction, numbering their programs.
func (d *chainDrawing) packets(title string, stages []bpf.ChainStage) {
	if len(stages) == 0 {
		return
	}
	d.lines = append(d.lines, chainLine{title: title})
	d.number = 0
	for i, s := range stages {
		branch, below := "├── ", "│   "
		if i == len(stages)-1 {
			branch, below = "└── ", "    "
		}
		d.lines = append(d.lines, chainLine{title: branch + stageText(s, d.counting)})
		for j, p := range s.Programs {
			leaf := "├── "
			if j == len(s.Programs)-1 {
				leaf = "└── "
			}
			d.program(below+leaf, p)
		}
	}
}

func (d *chainDrawing) program(tree string, p bpf.ChainProgram) {
	d.number++
	mark := " "
	if p.Ours() {
		mark, d.marked = "*", true
	}
	count, average := chainRuns(p.Runs, d.counting)
	priority, id := "", ""
	if p.Priority != nil {
		priority = fmt.Sprint(*p.Priority)
	}
	if p.ID != 0 {
		id = fmt.Sprint(p.ID)
	}
	pin := p.Pin
	if p.Ours() {
		pin = "" // follows from the instance
	}
	d.lines = append(d.lines, chainLine{
		tree:  tree + strconv.Itoa(d.number) + " " + mark,
		cells: []string{priority, p.Instance, programText(p), id, p.Next, count, average, pin},
	})
}

// aligned are the lines below what they are about. The column of pins is there
// when there are any.
func (d *chainDrawing) aligned(about string) []string {
	columns := len(chainColumns)
	if !slices.ContainsFunc(d.lines, func(l chainLine) bool { return l.cells != nil && l.cells[columns-1] != "" }) {
		columns--
	}
	rows := [][]string{append([]string{about}, chainColumns[:columns]...)}
	for _, l := range d.lines {
		row := []string{l.tree + l.title}
		for _, c := range l.cells[:min(columns, len(l.cells))] {
			if c == "" {
				c = "-"
			}
			row = append(row, safe(c))
		}
		rows = append(rows, row)
	}
	lines := alignRows(rows, columns+1)
	if d.marked {
		lines = append(lines, "* of bpfimg")
	}
	return lines
}

// alignRows pads the cells of rows that have them all; others go across.
func alignRows(rows [][]string, columns int) []string {
	widths := make([]int, columns)
	for _, row := range rows {
		for i, c := range row {
			if len(row) == columns {
				widths[i] = max(widths[i], utf8.RuneCountInString(c))
			}
		}
	}
	var lines []string
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[i], c) // the width counts runes
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}
