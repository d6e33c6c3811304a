// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import "sort"

// The versions are those of the release that first had the number in its
// linux/bpf.h. Distributions carry some of it back to older kernels: before
// refusing, ask the kernel.

// helperReleases gives, for each release of Linux that added helpers, the number
// of the last one. The enum only ever grew at its end, so that is all it takes.
var helperReleases = []struct {
	last    int64
	release string
}{
	{3, "3.19"},
	{11, "4.1"},
	{16, "4.2"},
	{22, "4.3"},
	{25, "4.4"},
	{26, "4.5"},
	{30, "4.6"},
	{36, "4.8"},
	{41, "4.9"},
	{44, "4.10"},
	{45, "4.11"},
	{47, "4.12"},
	{50, "4.13"},
	{53, "4.14"},
	{57, "4.15"},
	{59, "4.16"},
	{64, "4.17"},
	{80, "4.18"},
	{83, "4.19"},
	{90, "4.20"},
	{92, "5.0"},
	{98, "5.1"},
	{108, "5.2"},
	{109, "5.3"},
	{110, "5.4"},
	{115, "5.5"},
	{118, "5.6"},
	{124, "5.7"},
	{135, "5.8"},
	{141, "5.9"},
	{155, "5.10"},
	{162, "5.11"},
	{163, "5.12"},
	{165, "5.13"},
	{168, "5.14"},
	{175, "5.15"},
	{179, "5.16"},
	{185, "5.17"},
	{193, "5.18"},
	{203, "5.19"},
	{207, "6.0"},
	{209, "6.1"},
	{211, "6.2"},
}

// HelperSince is the first version of Linux with helper number n, "" for a number
// that no kernel has.
func HelperSince(n int64) string {
	i := sort.Search(len(helperReleases), func(i int) bool { return n <= helperReleases[i].last })
	if n <= 0 || i == len(helperReleases) {
		return ""
	}
	return helperReleases[i].release
}

// HelperName is the C name of helper number n ("bpf_map_lookup_elem"), or
// "unknown#N".
func HelperName(n int64) string { return helperName(n) }

// mapTypeReleases are the first versions of Linux with a map type, by number:
// enum bpf_map_type of linux/bpf.h.
var mapTypeReleases = []string{
	"", "3.19", "3.19", "4.2", "4.3", "4.6", "4.6",
	"4.6", "4.8", "4.10", "4.10", "4.11", "4.12",
	"4.12", "4.14", "4.14", "4.15", "4.18", "4.18", "4.19",
	"4.19", "4.20", "4.20", "4.20", "5.2", "5.4",
	"5.6", "5.8", "5.10", "5.11", "5.16", "6.1",
	"6.2", "6.9",
}

// MapTypeSince is the first version of Linux with the map type, in libbpf's
// spelling; "" for one this version does not know.
func MapTypeSince(name string) string {
	for i, n := range mapTypes {
		if n == name && i < len(mapTypeReleases) {
			return mapTypeReleases[i]
		}
	}
	return ""
}
