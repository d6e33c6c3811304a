// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestKernelsDoc keeps the table of docs/kernels.md that of the code; -update
// writes it.
func TestKernelsDoc(t *testing.T) {
	generatedDoc(t, "../../docs/kernels.md", "<!-- generated from the table of kernel features -->\n", featuresTable())
}

func featuresTable() string {
	var b strings.Builder
	b.WriteString("\n| feature | since | source |\n|---|---|---|\n")
	rows := kernelFeatures()
	for _, f := range mapFlags {
		rows = append(rows, f.kernelFeature)
	}
	for _, f := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, f.since, f.source)
	}
	bySince := map[string][]string{}
	for name, since := range kfuncReleases {
		bySince[since] = append(bySince[since], "`"+name+"`")
	}
	b.WriteString("\n| kernel functions | since |\n|---|---|\n")
	for _, since := range slices.SortedFunc(maps.Keys(bySince), compareReleases) {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(slices.Sorted(slices.Values(bySince[since])), ", "), since)
	}
	return b.String() + "\n"
}

// kernelFeatures are the rows above, for the documentation.
func kernelFeatures() []kernelFeature {
	return []kernelFeature{
		featureJumpIfLower, featureJump32, featureISA4, featureAtomics, featureAcquire, featureMayGoto, featureArenaCast,
		featureLoops, featureLarge, featureGlobals, featureCalls, featureCallbacks, featureMixedTailCalls, featureKfuncs,
		featureXDPFrags, featureSleepable, featureSleepableIter, featureSleepableUprobe,
	}
}
