// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// maxLabelName is how many bytes of a program's name go into a label. The kernel
// takes 256 in all (ACT_BPF_NAME_LEN, MAX_PROG_NAME of its lwt_bpf.c and
// seg6_local.c).
const maxLabelName = 128

// labelStart begins the part of a label that is ours.
const labelStart = "[bpfimg:"

// labelOf is the name given to a program where the kernel lists a name and not
// the program: in routes, and in actions of traffic control. The kernel id, unique
// in one boot, tells whose it is.
func labelOf(p schemas.InstanceProgram) string {
	return fmt.Sprintf("%s%s%d:%s]", p.Name[:min(len(p.Name), maxLabelName)], labelStart, p.ID, p.Tag)
}

// labels says whether label, as the kernel lists it, is that of the program. The
// tag is compared if it is known.
func labels(label string, p schemas.InstanceProgram) bool {
	label = strings.TrimRight(label, "\x00")
	// The netlink library puts a file descriptor behind the names in routes.
	if i := strings.LastIndex(label, "[fd:"); i > 0 && strings.HasSuffix(label, "]") {
		label = label[:i]
	}
	i := strings.LastIndex(label, labelStart)
	if i < 0 {
		return false
	}
	id, tag, ok := strings.Cut(label[i+len(labelStart):], ":")
	tag, closed := strings.CutSuffix(tag, "]")
	return ok && closed && id == strconv.FormatUint(uint64(p.ID), 10) && (p.Tag == "" || tag == p.Tag)
}

// loadedAs is what the record will say of a program that is being attached.
func loadedAs(p *placement, prog *ebpf.Program) (schemas.InstanceProgram, error) {
	info, err := prog.Info()
	if err != nil {
		return schemas.InstanceProgram{}, fmt.Errorf("%s: reading back the program: %w", p, err)
	}
	id, _ := info.ID()
	return schemas.InstanceProgram{Name: p.link.Program, ID: uint32(id), Tag: info.Tag}, nil
}
