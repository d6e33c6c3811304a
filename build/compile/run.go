// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"
)

// command is one run of a tool.
type command struct {
	words          []string // program and arguments
	dir            string
	env            []string
	timeout        time.Duration
	stdout, stderr io.Writer
}

// lingering is how long a tool's children may hold its output open after it
// ended.
const lingering = 2 * time.Second

// run waits for the tool to end. When ctx or the time is over, the tool and
// everything it started are killed.
func (c command) run(ctx context.Context) error {
	late := fmt.Errorf("%s took longer than %s and was ended", filepath.Base(c.words[0]), c.timeout)
	timed, stop := context.WithTimeoutCause(ctx, c.timeout, late)
	defer stop()
	cmd := exec.CommandContext(timed, c.words[0], c.words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, c.stdout, c.stderr
	cmd.WaitDelay = lingering
	ownGroup(cmd)
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case timed.Err() != nil:
		return late
	case errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("%s ended, but something it started did not", filepath.Base(c.words[0]))
	}
	return err
}

// environment is what tools see of ours: enough to find their parts, and
// nothing that changes what they make (CPATH, C_INCLUDE_PATH,
// CCC_OVERRIDE_OPTIONS, GIT_DIR, a language, a time zone).
func (j *job) environment(more ...string) []string {
	env := append([]string{"LC_ALL=C", "LANG=C"}, more...)
	for _, name := range []string{"PATH", "HOME"} {
		if value, ok := j.lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// head keeps the first bytes that are written to it and drops the others.
type head struct {
	data []byte
	max  int
}

func (h *head) Write(p []byte) (int, error) {
	h.data = append(h.data, p[:min(len(p), h.max-len(h.data))]...)
	return len(p), nil
}
