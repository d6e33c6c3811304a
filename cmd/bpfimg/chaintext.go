// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
)

// stageNames are the stages in a person's words.
var stageNames = map[string]string{
	bpf.StageXDPOffload:    "XDP in the device",
	bpf.StageXDPNative:     "XDP, native",
	bpf.StageXDPGeneric:    "XDP, generic",
	bpf.StageNetkitPeer:    "netkit, sent by the peer",
	bpf.StageNetkitPrimary: "netkit, sent by this end",
	bpf.StageTCXIngress:    "tc ingress, tcx",
	bpf.StageTCXEgress:     "tc egress, tcx",
	bpf.StageClsactIngress: "tc ingress, clsact",
	bpf.StageClsactEgress:  "tc egress, clsact",
}

// stageText is the line above a stage's programs.
func stageText(s bpf.ChainStage, counting bool) string {
	if hook, ok := strings.CutPrefix(s.Stage, bpf.StageNetfilter); ok {
		return fmt.Sprintf("netfilter %s, %s, of the whole network namespace", safe(hook), safe(s.Family))
	}
	text := stageNames[s.Stage]
	if text == "" {
		text = safe(s.Stage)
	}
	if d := s.Dispatcher; d != nil {
		text += fmt.Sprintf(": dispatcher %d (libxdp, version %d)", d.ID, d.Version)
		if count, average := chainRuns(d.Runs, counting); count != "-" {
			text += fmt.Sprintf(", %s runs of all, average %s", count, average)
		}
	}
	return text
}

// programText is a program's name, and what about its place is not in the other
// columns.
func programText(p bpf.ChainProgram) string {
	text := p.Name
	if text == "" {
		text = "(no name)"
	}
	if f := p.Filter; f != nil {
		text += filterText(*f)
	}
	if p.Elsewhere {
		text += " (perhaps of another network namespace)"
	}
	return text
}

// filterText says of a filter what makes it differ from the usual.
func filterText(f bpf.ChainFilter) string {
	const allProtocols = 3 // ETH_P_ALL, linux/if_ether.h
	var words []string
	if f.Action > 0 {
		words = append(words, fmt.Sprintf("action %d of a %s filter", f.Action, f.Kind))
	} else if len(f.Actions) > 0 {
		words = append(words, "then "+strings.Join(f.Actions, ", "))
	}
	if f.Count > 1 {
		words = append(words, fmt.Sprintf("%d filters", f.Count))
	}
	if f.Chain != 0 {
		words = append(words, fmt.Sprintf("only from tc chain %d", f.Chain))
	}
	if f.Protocol != allProtocols {
		words = append(words, fmt.Sprintf("only EtherType 0x%04x", f.Protocol))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, "; ") + ")"
}

// chainRuns is how often a program ran and how long it took on average; "-" when
// the kernel did not count.
func chainRuns(r *bpf.ProgramRuns, counting bool) (count, average string) {
	if r == nil || r.Count == 0 && !counting {
		return "-", "-"
	}
	return fmt.Sprint(r.Count), r.Average().String()
}
