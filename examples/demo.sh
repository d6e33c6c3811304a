#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copyright The bpfimg Authors
#
# The main job from end to end, on this machine, as root: build, push, sign,
# pull, verify and run an XDP packet counter. Each command is printed before its
# output, so this can be read as a tutorial. Leaves nothing behind, also when it
# is interrupted. `make demo` calls it with bpfimg in PATH.
set -euo pipefail

readonly object=$(cd "$(dirname "$0")" && pwd)/xdp-counter/counter.bpf.o
readonly ns=bpfimg-demo-$$ dev=demo$$
# A network of this process's own, 198.19.0.0/30 and on: one that another demo
# has, or left when it was killed, would take its packets. 198.18.0.0/15 is for
# tests between networks (RFC 2544).
readonly net=198.19.$(($$ / 64 % 256)) host=$(($$ % 64 * 4))
readonly ours=$net.$((host + 1)) theirs=$net.$((host + 2))
readonly dir=$(mktemp -d)
export BPFIMG_ROOT=$dir/root BPFIMG_BPFFS=/sys/fs/bpf/bpfimg-demo-$$ COSIGN_PASSWORD=demo
unset BPFIMG_POLICY
registry_pid=

cleanup() {
	trap - EXIT
	bpfimg stop --all >/dev/null 2>&1 || true
	rmdir "$BPFIMG_BPFFS" 2>/dev/null || true
	ip link del "$dev" 2>/dev/null || true
	ip netns del "$ns" 2>/dev/null || true
	[ -z "$registry_pid" ] || { kill "$registry_pid" && wait "$registry_pid"; } 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }

show() {
	printf '$ %s\n' "$*"
	"$@"
}

# refused CODE COMMAND…: the command must end with exit code CODE.
refused() {
	local want=$1 got=0
	shift
	printf '$ %s\n' "$*"
	"$@" || got=$?
	printf '(exit %s)\n' "$got"
	[ "$got" = "$want" ] || { echo "demo: expected exit $want" >&2; exit 1; }
}

[ "$(id -u)" = 0 ] || { echo "demo: loading programs into the kernel needs root: sudo make demo" >&2; exit 6; }
cd "$dir"

say "A registry of our own, on a free port."
bpfimg registry serve --address 127.0.0.1:0 --dir "$dir/registry" >"$dir/registry.out" &
registry_pid=$!
until address=$(grep -oE '127\.0\.0\.1:[0-9]+' "$dir/registry.out"); do
	kill -0 "$registry_pid" 2>/dev/null || { echo "demo: the registry did not start" >&2; exit 1; }
	sleep 0.05
done
readonly ref=$address/net/xdp-counter:v1
cat "$dir/registry.out"

say "A network of our own: a veth pair, its other end in a namespace."
show ip netns add "$ns"
show ip link add "$dev" type veth peer name eth0 netns "$ns"
show ip addr add "$ours/30" dev "$dev"
show ip link set "$dev" up
show ip -n "$ns" addr add "$theirs/30" dev eth0
show ip -n "$ns" link set eth0 up

say "What is in the object?"
show bpfimg inspect "$object"

say "Build an image, push it, sign its digest."
show bpfimg build -t "$ref" "$object"
show bpfimg push "$ref"
show bpfimg generate-key-pair
show bpfimg sign --key cosign.key "$ref"

say "On the node: pull, verify, run."
show bpfimg pull "$ref"
show bpfimg verify --key cosign.pub "$ref"
show bpfimg run --key cosign.pub --attach "xdp_count=xdp:$dev" "$ref"
show bpfimg ps

say "Traffic: the counter moves (protocol 1 is ICMP)."
show ip netns exec "$ns" ping -q -c 3 -i 0.2 "$ours"
show bpfimg map dump xdp-counter pkts

say "A key that did not sign it."
show bpfimg generate-key-pair --output-key-prefix other
refused 3 bpfimg run --key other.pub --name wrong-key --attach "xdp_count=xdp:$dev" "$ref"

say "Someone replaces the image behind the tag."
show env BPFIMG_ROOT="$dir/intruder" bpfimg build -t "$ref" --label intruder=yes --push "$object"
refused 3 bpfimg run --key cosign.pub --pull always --name tampered --attach "xdp_count=xdp:$dev" "$ref"

say "Stop: the kernel has let go when it returns."
show bpfimg stop xdp-counter
show bpfimg ps

cleanup
say "Nothing is left behind."
