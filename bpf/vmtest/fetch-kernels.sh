#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copyright The bpfimg Authors
#
# fetch-kernels.sh [-d DIR] VERSION…
#
# Fetches Debian's cloud kernels for the tests in this folder and unpacks them
# under DIR (default ${XDG_CACHE_HOME:-~/.cache}/bpfimg/kernels):
#
#   DIR/6.1/vmlinuz         the kernel image
#   DIR/6.1/modules/*.ko*   the modules the tests need, with their dependencies
#   DIR/6.1/modules.load    their file names in load order, one a line
#   DIR/6.1/modules.wanted  the modules that were asked for
#   DIR/6.1/package         the Debian package and version they came from
#
# Nothing is installed and the machine's own apt state is not touched: the
# suites are read under an apt state of our own, from the Debian mirror this
# machine already uses, and apt checks their signatures. A version that is there
# already, with the modules wanted now, is left alone; remove its folder to fetch a
# newer build of it.
set -euo pipefail

# The suite that holds each version. Package names are resolved from the suite.
suite_of() {
	case "$1" in
	5.10) echo bullseye-security ;;
	6.1) echo bookworm-security ;;
	6.12) echo bookworm-backports ;;
	6.18 | 7.2) echo trixie-backports ;;
	*) return 1 ;;
	esac
}

# What the tests need beyond what these kernels have built in.
wanted_modules=(veth dummy sch_ingress cls_bpf cls_matchall act_bpf nf_defrag_ipv4)

# Absolute: downloads happen in another folder.
again=$(cd "$(dirname "$0")/../../.ci" && pwd)/again

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "fetch-kernels.sh: $*" >&2
	exit 1
}

# Prints "URI SUITE" for every archive in the machine's apt sources, of the
# one-line and the deb822 form.
apt_sources() {
	local file
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] || continue
		sed -nE 's/^deb([[:space:]]+\[[^]]*\])?[[:space:]]+([^[:space:]]+)[[:space:]]+([^[:space:]]+).*/\2 \3/p' "$file"
	done
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -f "$file" ] || continue
		# A stanza ends at an empty line; each of its URIs serves each suite.
		awk '
			function flush(  i, j, nu, ns) {
				if (enabled) {
					nu = split(uris, u, " "); ns = split(suites, s, " ")
					for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j]
				}
				uris = suites = ""; enabled = 1
			}
			BEGIN { enabled = 1 }
			/^[[:space:]]*$/ { flush(); next }
			tolower($1) == "uris:" { sub(/^[^:]*:/, ""); uris = $0 }
			tolower($1) == "suites:" { sub(/^[^:]*:/, ""); suites = $0 }
			tolower($1) == "enabled:" && tolower($2) == "no" { enabled = 0 }
			END { flush() }
		' "$file"
	done
}

# Prints the mirror for a suite. Security suites live beside the main archive,
# on many mirrors under another path.
mirror_for() {
	local suite=$1 codename main security
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	main=$(apt_sources | awk -v s="$codename" '$2 == s && $1 ~ /\/debian\/?$/ { print $1; exit }')
	[ -n "$main" ] || die "no Debian mirror for suite \"$codename\" in /etc/apt/sources.list*"
	case "$suite" in
	*-security)
		security=$(apt_sources | awk '$2 ~ /-security$/ { print $1; exit }')
		echo "${security:-${main%/}-security}"
		;;
	*) echo "$main" ;;
	esac
}

# Prints the name of a module's file in a tree; "-" and "_" are the same to the
# kernel.
module_file() {
	find "$1" -type f -name "${2//[-_]/[-_]}.ko*" -print -quit
}

# Copies a module after its dependencies and appends it to the load order.
# depmod, which would know the order, runs only when a package is installed.
add_module() {
	local tree=$1 dest=$2 name=$3 file dep deps
	file=$(module_file "$tree" "$name")
	[ -n "$file" ] || die "module $name is neither in $tree nor known to be built in"
	grep -qxF "$(basename "$file")" "$dest/modules.load" 2>/dev/null && return
	deps=$(if [[ $file == *.xz ]]; then xz -dc "$file"; else cat "$file"; fi |
		tr '\0' '\n' | grep -a -m1 '^depends=' | cut -d= -f2 || true)
	for dep in ${deps//,/ }; do
		add_module "$tree" "$dest" "$dep"
	done
	cp "$file" "$dest/modules/"
	basename "$file" >>"$dest/modules.load"
}

fetch() {
	local version=$1 dest=$2/$1 suite mirror work names abi
	suite=$(suite_of "$version") || die "no suite is known for kernel $version"
	if [ -f "$dest/package" ] && [ "$(cat "$dest/modules.wanted" 2>/dev/null)" = "${wanted_modules[*]}" ]; then
		echo "kernel $version: $(head -n1 "$dest/package") is there"
		return
	fi
	mirror=$(mirror_for "$suite")
	echo "kernel $version: fetching from $mirror $suite"

	work=$scratch/$version
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/deb" "$work/root"
	echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
	: >"$work/status"
	local apt_options=(
		-o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status"
		-o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list"
		-o Dir::Etc::sourceparts=- -o APT::Architecture=amd64 -o APT::Architectures=amd64
		-o APT::Sandbox::User= -o Acquire::Languages=none
		-o APT::Update::Error-Mode=any # else an update that fetched nothing succeeds
	)
	"$again" apt-get "${apt_options[@]}" -qq update

	# One build may be split: linux-image-*, or linux-binary-* and linux-modules-*.
	names=$(apt-cache "${apt_options[@]}" pkgnames linux- |
		grep -E "^linux-(image|binary|modules)-${version//./\\.}[.+-].*-cloud-amd64\$" || true)
	abi=$(sed -E 's/^linux-(image|binary|modules)-//' <<<"$names" | sort -V | tail -n1)
	[ -n "$abi" ] || die "suite $suite at $mirror has no cloud kernel $version"
	mapfile -t packages < <(grep -xF -e "linux-image-$abi" -e "linux-binary-$abi" -e "linux-modules-$abi" <<<"$names")
	(cd "$work/deb" && "$again" apt-get "${apt_options[@]}" -qq download "${packages[@]}")

	local deb
	for deb in "$work"/deb/*.deb; do
		dpkg -x "$deb" "$work/root"
	done
	unpack "$work/root" "$dest" "$abi" "$(basename -a -s .deb "$work"/deb/*.deb)"
	echo "kernel $version: $(head -n1 "$dest/package")"
}

# Takes what a VM needs out of an unpacked package. The folder gets its name at
# the very end, so that an interrupted run leaves nothing that looks whole.
unpack() {
	local root=$1 dest=$2 abi=$3 packages=$4 kernel
	rm -rf "$dest.new"
	mkdir -p "$dest.new/modules"
	: >"$dest.new/modules.load"
	kernel=$(find "$root" -type f -name 'vmlinuz*' -print -quit)
	[ -n "$kernel" ] || die "package $packages holds no vmlinuz"
	cp "$kernel" "$dest.new/vmlinuz"
	local module
	for module in "${wanted_modules[@]}"; do
		add_module "$root" "$dest.new" "$module"
	done
	echo "${wanted_modules[*]}" >"$dest.new/modules.wanted"
	printf '%s\n' "$packages" >"$dest.new/package"
	rm -rf "$dest"
	mv "$dest.new" "$dest"
}

main() {
	local dir=${XDG_CACHE_HOME:-$HOME/.cache}/bpfimg/kernels
	if [ "${1:-}" = -d ]; then
		[ $# -ge 2 ] || die "-d wants a folder"
		dir=$2
		shift 2
	fi
	[ $# -gt 0 ] || die "usage: fetch-kernels.sh [-d DIR] VERSION…"
	local tool
	for tool in apt-get dpkg xz awk; do
		command -v "$tool" >/dev/null || die "needs $tool"
	done
	mkdir -p "$dir"
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	local version
	for version; do
		fetch "$version" "$dir"
	done
}

main "$@"
