// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/google/go-containerregistry/pkg/authn"
)

// The protocol of credential helpers (docker/docker-credential-helpers): a program
// docker-credential-NAME, a word as argument, everything else over its standard
// input and output.
const (
	helperPrefix = "docker-credential-"
	// helperToken is the user name that goes with an identity token.
	helperToken = "<token>"
	// helperMissing is what a helper says that has no credentials.
	helperMissing = "credentials not found"
	// maxHelper bounds what a helper may answer, in bytes.
	maxHelper = 64 << 10
	// helperTime is how long one may take: some ask the person.
	helperTime = time.Minute
)

var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// helperAnswer is a helper's answer to get, and its question for store.
type helperAnswer struct {
	ServerURL string
	Username  string
	Secret    string
}

// helperGet asks for the credentials of server; nil if there are none.
func helperGet(ctx context.Context, helper, server string) (*authn.AuthConfig, error) {
	out, err := runHelper(ctx, helper, "get", []byte(server))
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var answer helperAnswer
	if boundedjson.Unmarshal(out, &answer) != nil {
		return nil, fmt.Errorf("%s%s answered something that is no JSON", helperPrefix, helper)
	}
	switch {
	case answer.Secret == "":
		return nil, nil
	case answer.Username == helperToken:
		return &authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return &authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

func helperStore(ctx context.Context, helper, server, user, secret string) error {
	in, err := json.Marshal(helperAnswer{ServerURL: server, Username: user, Secret: secret})
	if err != nil {
		return err
	}
	_, err = runHelper(ctx, helper, "store", in)
	return err
}

// helperErase is errMissing if there was nothing to erase, as far as the helper
// says.
func helperErase(ctx context.Context, helper, server string) error {
	_, err := runHelper(ctx, helper, "erase", []byte(server))
	return err
}

var errMissing = errors.New(helperMissing)

// runHelper runs one. Its name comes from a file, and is a name rather than a
// path; no shell is involved. What it prints may hold secrets and is not repeated.
func runHelper(ctx context.Context, helper, verb string, in []byte) ([]byte, error) {
	if !helperName.MatchString(helper) {
		return nil, fmt.Errorf("%q cannot be the name of a credential helper", helper)
	}
	program, err := exec.LookPath(helperPrefix + helper)
	if err != nil {
		return nil, fmt.Errorf("%s%s is not installed: install it, or take it out of the file", helperPrefix, helper)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	out := limitedBuffer{left: maxHelper}
	cmd := exec.CommandContext(ctx, program, verb)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &out
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s%s %s did not end: %w", helperPrefix, helper, verb, context.Cause(ctx))
	case err != nil && strings.Contains(out.kept.String(), helperMissing):
		return nil, errMissing
	case err != nil:
		return nil, fmt.Errorf("%s%s %s failed: %w", helperPrefix, helper, verb, err)
	case out.over:
		return nil, fmt.Errorf("%s%s answered more than %d bytes", helperPrefix, helper, maxHelper)
	}
	return out.kept.Bytes(), nil
}

// limitedBuffer keeps the first bytes only. The buffer is no embedded one: that has
// a ReadFrom, which the copying of a program's output prefers to Write.
type limitedBuffer struct {
	kept bytes.Buffer
	left int
	over bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.over = b.over || n < len(p)
	b.kept.Write(p[:n])
	return len(p), nil
}
