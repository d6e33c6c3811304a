// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// versionInfo is what `bpfimg version -o json` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildVersion reads what the Go toolchain stamped into the binary.
func buildVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		case "vcs.time":
			v.Time = s.Value
		}
	}
	return v
}

func versionCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version of this binary",
		Flags: []cli.Flag{outputFlag()},
		Action: withSession(term, func(s *session) error {
			v := buildVersion()
			revision := ""
			if v.Revision != "" {
				revision = " " + v.Revision[:min(12, len(v.Revision))]
			}
			return s.printLine(v, fmt.Sprintf("bpfimg %s%s %s %s", v.Version, revision, v.Go, v.Platform))
		}),
	}
}
