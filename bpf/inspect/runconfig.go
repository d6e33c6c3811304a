// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// Where a C source says in which order its XDP programs want to run among others:
// XDP_RUN_CONFIG of libxdp's xdp_helpers.h. It is there in BTF alone: a variable
// named after the program, of a structure whose members are named after what they
// set and are pointers to arrays as long as the value.
const (
	runConfigSection = ".xdp_run_config"
	runConfigPrefix  = "_"
	// maxRunConfig bounds the members that are looked at: priority and five
	// actions are all there are.
	maxRunConfig = 16
)

// Names and defaults of the options of hook xdp that order programs. The defaults
// are those of libxdp (XDP_DEFAULT_RUN_PRIO and XDP_DEFAULT_CHAIN_CALL_ACTIONS of
// libxdp.c).
const (
	// OptionPriority is the place among the programs of an interface: lower ones run
	// earlier.
	OptionPriority = "priority"
	// XDPPriority is the priority of an XDP program for which nobody says one.
	XDPPriority = 50
	// XDPProceedOn are the results after which the next program runs when nobody
	// says which.
	XDPProceedOn = "pass"
)

// xdpActions are the results of an XDP program as [schemas.OptionProceedOn] spells
// them, by number (enum xdp_action of linux/bpf.h).
var xdpActions = [...]string{"aborted", "drop", "pass", "tx", "redirect"}

// runConfigs are the structures of the section, by the name of the program they
// are for.
type runConfigs map[string]*btf.Struct

func readRunConfigs(spec *ebpf.CollectionSpec) runConfigs {
	var section *btf.Datasec
	if spec.Types == nil || spec.Types.TypeByName(runConfigSection, &section) != nil {
		return nil
	}
	out := runConfigs{}
	for _, info := range section.Vars {
		v, ok := info.Type.(*btf.Var)
		if !ok {
			continue
		}
		program, ok := strings.CutPrefix(v.Name, runConfigPrefix)
		if config, isStruct := btf.UnderlyingType(v.Type).(*btf.Struct); ok && isStruct {
			out[program] = config
		}
	}
	return out
}

// options are what the source says of a program as attach options, nil when it
// says nothing. A configuration with anything in it that libxdp does not know is
// none, as it is for libxdp, which only takes it or leaves it too.
func (r runConfigs) options(program string) map[string]string {
	config := r[program]
	if config == nil || len(config.Members) > maxRunConfig {
		return nil
	}
	priority := uint32(XDPPriority)
	proceed := [len(xdpActions)]bool{}
	for i, name := range xdpActions {
		proceed[i] = name == XDPProceedOn
	}
	for _, m := range config.Members {
		value, ok := arrayLength(m.Type)
		if !ok {
			return nil
		}
		if m.Name == OptionPriority {
			priority = value
			continue
		}
		i := xdpAction(m.Name)
		if i < 0 {
			return nil
		}
		proceed[i] = value != 0
	}
	options := map[string]string{OptionPriority: strconv.FormatUint(uint64(priority), 10)}
	var names []string
	for i, on := range proceed {
		if on {
			names = append(names, xdpActions[i])
		}
	}
	if len(names) == 0 {
		names = []string{XDPNever}
	}
	options[schemas.OptionProceedOn] = strings.Join(names, ",")
	return options
}

// XDPNever as the value of [schemas.OptionProceedOn] says that no other program
// runs after this one, whatever it returns.
const XDPNever = "never"

// xdpAction is the number of an action by its name in C ("XDP_PASS"), -1 when
// there is none of that name.
func xdpAction(name string) int {
	for i, known := range xdpActions {
		if name == "XDP_"+strings.ToUpper(known) {
			return i
		}
	}
	return -1
}

// arrayLength reads a number that libbpf's __uint wrote.
func arrayLength(t btf.Type) (uint32, bool) {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return 0, false
	}
	a, ok := btf.UnderlyingType(p.Target).(*btf.Array)
	if !ok {
		return 0, false
	}
	return a.Nelems, true
}
