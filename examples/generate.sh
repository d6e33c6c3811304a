#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The bpfimg Authors

# Compiles every BPF object of examples/, bpf/testdata/ and bpf/dispatcher/ next to
# its source.
# The objects are committed; the same compiler writes the same bytes from any
# checkout, so CI runs this and then `git diff --exit-code`.
#
# The compiler is Debian 12's clang 14 where it is installed, since another
# version writes other bytes. CLANG and LLVM_STRIP choose others.
set -eu

cd "$(dirname "$0")/.."

# first COMMAND...: the first command that exists, or nothing.
first() {
	for c in "$@"; do
		if command -v "$c" >/dev/null 2>&1; then
			echo "$c"
			return
		fi
	done
}

need() {
	echo "generate.sh: $1 not found: install it with 'apt-get install $2'" >&2
	exit 1
}

clang=${CLANG:-$(first clang-14 clang)}
strip=${LLVM_STRIP:-$(first llvm-strip-14 llvm-strip)}
# clang looks for <asm/types.h> under the target's name, and BPF has no such
# folder: give it the machine's own.
asm=/usr/include/$(uname -m)-linux-gnu

[ -n "$clang" ] || need clang clang
[ -n "$strip" ] || need llvm-strip llvm
[ -e /usr/include/bpf/bpf_helpers.h ] || need bpf/bpf_helpers.h libbpf-dev
[ -e "$asm/asm/types.h" ] || need asm/types.h linux-libc-dev

# compile SOURCE OBJECT TARGET
#
# -g gives BTF; the strip then drops DWARF, which nothing needs at run time.
# -mcpu=v3 (Linux 5.1) is fixed because clang's default changes with its version.
# Running in the source's folder with a compilation folder of "." keeps the path
# of the checkout out of BTF's line info. No __TARGET_ARCH_x: the sources read no
# registers, and an object serves every architecture of its endianness.
compile() {
	folder=$(dirname "$1")
	object=$(pwd)/$2
	(
		cd "$folder"
		"$clang" -g -O2 -target "$3" -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter \
			-fdebug-compilation-dir=. -I"$asm" -c "$(basename "$1")" -o "$object"
	)
	"$strip" -g "$2"
	echo "$2"
}

for source in examples/*/*.bpf.c bpf/testdata/*.bpf.c bpf/dispatcher/*.bpf.c bpf/dispatcher/testdata/*.bpf.c; do
	compile "$source" "${source%.c}.o" bpfel
done

# The same program for big-endian machines, which a little-endian node refuses.
compile examples/xdp-counter/counter.bpf.c bpf/testdata/counter_eb.bpf.o bpfeb
