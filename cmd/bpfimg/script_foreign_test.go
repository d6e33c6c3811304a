// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull/pulltest"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdForeign pushes an object as another tool would:
// foreign FIXTURE OBJECT REFERENCE
func cmdForeign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: foreign FIXTURE OBJECT REFERENCE")
	}
	fixture, err := pulltest.Find(args[0])
	ts.Check(err)
	made, err := fixture.Make([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ref, err := image.ParseReference(args[2])
	ts.Check(err)
	registry, err := image.NewRegistry(image.RegistryOptions{Keychain: authn.NewMultiKeychain()})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(made.Push(ctx, registry, ref))
}
