# SPDX-License-Identifier: Apache-2.0
# Copyright The bpfimg Authors

export CGO_ENABLED := 0
# The tags leave out what nobody calls: the command line library's man page
# generator, and gRPC's web pages about its own requests. Lint and tests have the same
# flags: they see what ships, and each package is compiled once for all of them.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath -tags=urfave_cli_no_docs,grpcnotrace)
LINK := -ldflags '-s -w'

.PHONY: build
build: ## the static binary, bin/bpfimg
	go build $(LINK) -o bin/bpfimg ./cmd/bpfimg

.PHONY: demo
demo: ## the main job on this machine, as root, command by command
	.ci/install demo
	$(MAKE) -s build
	PATH="$(CURDIR)/bin:$$PATH" examples/demo.sh

.PHONY: check
check: ## before pushing: lint, and the tests that need no other kernel
	.ci/check

.PHONY: test
test: ## everything, from a fresh machine
	.ci/test

.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME seconds each (60)
	.ci/fuzz all

.PHONY: test-interop
test-interop: ## other people's registries and clients, in both directions
	.ci/install
	go test -v -count=1 -run '^TestInterop$$' ./cmd/bpfimg

.PHONY: test-conformance
test-conformance: build ## OCI's conformance suites against `bpfimg registry serve`
	.ci/conformance

.PHONY: test-sigstore
test-sigstore: ## signatures without a key, with Sigstore's own services on this machine
	.ci/install services
	PATH="$$PATH:$$(go env GOPATH)/bin" go test -v -count=1 -run '^TestSigstore$$' ./cmd/bpfimg

.PHONY: test-kernels
test-kernels: ## the real binary and every hook inside other kernels (qemu), more often than `test`
	.ci/install packages
	bpf/vmtest/fetch-kernels.sh 5.10 6.1 6.12 6.18 7.2
	BPFIMG_TEST_KERNELS=5.10,6.1,6.12,6.18,7.2 go test -v -count=1 -timeout 180m ./bpf/vmtest -full

.PHONY: generate
generate: ## compile the BPF C sources again
	examples/generate.sh

.PHONY: cross
cross: ## every platform bpfimg builds for
	GOOS=linux GOARCH=amd64 go build $(LINK) -o /dev/null ./cmd/bpfimg
	GOOS=linux GOARCH=arm64 go build $(LINK) -o /dev/null ./cmd/bpfimg
	GOOS=darwin GOARCH=arm64 go build $(LINK) -o /dev/null ./cmd/bpfimg
	GOOS=windows GOARCH=amd64 go build $(LINK) -o /dev/null ./cmd/bpfimg

.PHONY: bench
bench: build ## speed and size, against peers in the same run
	PATH="$$PATH:$$(go env GOPATH)/bin" go run ./bench

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16
