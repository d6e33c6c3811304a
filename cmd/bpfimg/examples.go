// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

// commandExamples are command lines to begin with, by command. A test reads them
// as bpfimg would.
func commandExamples() map[string][]string {
	return map[string][]string{
		"inspect": {"bpfimg inspect counter.bpf.o", "bpfimg inspect -o json registry.example/net/xdp-counter:v1"},
		"diff":    {"bpfimg diff registry.example/net/xdp-counter:v1 counter.bpf.o"},
		"build": {
			"bpfimg build -t registry.example/net/xdp-counter:v1 counter.bpf.o",
			"bpfimg build -t localhost:5000/all:v1 linux/amd64=a.o linux/arm64=b.o",
			"bpfimg build -t localhost:5000/xdp-counter:v1 examples/xdp-counter",
			"bpfimg build -t localhost:5000/x --push --sign --key cosign.key counter.bpf.o",
		},
		"push":              {"bpfimg push registry.example/net/xdp-counter:v1", "bpfimg push --all-referrers mirror.example/net/xdp-counter:v1"},
		"generate-key-pair": {"bpfimg generate-key-pair", "bpfimg generate-key-pair --output-key-prefix release"},
		"public-key":        {"bpfimg public-key --key cosign.key >cosign.pub"},
		"sign":              {"bpfimg sign --key cosign.key registry.example/net/xdp-counter:v1", "bpfimg sign --key env://COSIGN_KEY registry.example/a:v1 registry.example/b:v1"},
		"attest":            {"bpfimg attest --key cosign.key --type spdxjson --predicate sbom.json REFERENCE"},
		"trust-root update": {"bpfimg trust-root update -o trusted_root.json"},
		"pull": {
			"bpfimg pull registry.example/net/xdp-counter:v1",
			"bpfimg pull --policy policy.yaml registry.example/a:v1 registry.example/b:v1",
		},
		"verify": {
			"bpfimg verify --key cosign.pub registry.example/net/xdp-counter:v1",
			"bpfimg verify --policy policy.yaml --pull never REFERENCE",
		},
		"policy check":   {"bpfimg policy check policy.yaml"},
		"policy explain": {"bpfimg policy explain --policy policy.yaml registry.example/net/x:v1"},
		"policy test":    {"bpfimg policy test --policy policy.yaml expected.yaml"},
		"policy default": {"bpfimg policy default >policy.yaml"},
		"run": {
			"bpfimg run --key cosign.pub --iface eth0 registry.example/net/xdp-counter:v1",
			"bpfimg run --policy policy.yaml --attach p=xdp:eth0,mode=generic REFERENCE",
			"bpfimg run --key cosign.pub --attach p=kprobe:vfs_unlink --name x REFERENCE",
		},
		"ps":          {"bpfimg ps", "bpfimg ps --all --measure 1s", "bpfimg ps --check --policy policy.yaml"},
		"chain":       {"bpfimg chain", "bpfimg chain eth0", "bpfimg chain --netns pid:1234 eth0"},
		"describe":    {"bpfimg describe xdp-counter"},
		"map dump":    {"bpfimg map dump xdp-counter pkts", "bpfimg map dump -o json xdp-counter pkts"},
		"map ls":      {"bpfimg map ls xdp-counter"},
		"update":      {"bpfimg update --key cosign.pub counter registry.example/net/counter:v2"},
		"stop":        {"bpfimg stop xdp-counter", "bpfimg stop --all"},
		"doctor":      {"bpfimg doctor", "bpfimg doctor --fix"},
		"hooks":       {"bpfimg hooks", "bpfimg hooks xdp", "bpfimg hooks -o json"},
		"images":      {"bpfimg images"},
		"rm":          {"bpfimg rm registry.example/net/xdp-counter:v1", "bpfimg rm --remote registry.example/net/xdp-counter:old"},
		"tag":         {"bpfimg tag localhost:5000/counter:v1 registry.example/net/counter:v1", "bpfimg tag --remote registry.example/net/x:v1 registry.example/net/x:stable"},
		"copy":        {"bpfimg copy registry.example/net/counter:v1 mirror.example/net/counter:v1", "bpfimg copy store:localhost:5000/xdp-counter:v1 oci:layout:v1", "bpfimg copy oci:cosign-saved store:registry.example/net/counter:v1"},
		"save":        {"bpfimg save -o images.tar registry.example/net/xdp-counter:v1", "bpfimg save -o - registry.example/net/counter:v1 | ssh node bpfimg load -i -"},
		"manifest":    {"bpfimg manifest registry.example/net/xdp-counter:v1", "bpfimg manifest --config registry.example/net/xdp-counter:v1"},
		"extract":     {"bpfimg extract --key cosign.pub -C objects registry.example/net/xdp-counter:v1", "bpfimg extract -O oci:layout:v1 >counter.bpf.o"},
		"load":        {"bpfimg load -i images.tar", "bpfimg load -i - <images.tar", "bpfimg load -i layout"},
		"tree":        {"bpfimg tree registry.example/net/xdp-counter:v1"},
		"ls":          {"bpfimg ls registry.example/net/xdp-counter"},
		"login":       {"bpfimg login registry.example", "bpfimg login -u ci --password-stdin registry.example <password"},
		"logout":      {"bpfimg logout registry.example"},
		"prune":       {"bpfimg prune --dry-run", "bpfimg prune"},
		"store check": {"bpfimg store check", "bpfimg store check --repair"},
		"registry serve": {
			"bpfimg registry serve --address 127.0.0.1:5000",
		},
		"schema":     {"bpfimg schema policy >policy.schema.json"},
		"completion": {"source <(bpfimg completion bash)", "bpfimg completion fish | source"},
		"version":    {"bpfimg version", "bpfimg version -o json"},
	}
}
