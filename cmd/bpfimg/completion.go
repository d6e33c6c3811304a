// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
)

// completionScripts ask the binary itself (its hidden --generate-bash-completion
// flag) for the words that fit, so that they never go out of date.
var completionScripts = map[string]string{
	"bash": `_bpfimg() {
	local cur="${COMP_WORDS[COMP_CWORD]}" line=("${COMP_WORDS[@]:0:COMP_CWORD}")
	[[ $cur == -* ]] && line+=(-)
	COMPREPLY=($(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _bpfimg bpfimg
`,
	"zsh": `#compdef bpfimg
_bpfimg() {
	local -a line candidates
	line=("${(@)words[1,CURRENT-1]}")
	[[ ${words[CURRENT]} == -* ]] && line+=(-)
	candidates=("${(@f)$("${line[@]}" --generate-bash-completion 2>/dev/null)}")
	compadd -a candidates
	_files
}
compdef _bpfimg bpfimg
`,
	"fish": `function __bpfimg_complete
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	string match -q -- '-*' "$word"; and set words $words -
	$words --generate-bash-completion 2>/dev/null
end
complete -c bpfimg -a '(__bpfimg_complete)'
`,
}

func completionCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a completion script for bash, zsh or fish",
		ArgsUsage: "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			script, ok := completionScripts[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usagef("completion: want one of bash, zsh or fish; for example: source <(bpfimg completion bash)")
			}
			_, err := fmt.Fprint(term.out, script)
			return err
		},
	}
}

// completionFlag is what the scripts above append to ask for words.
const completionFlag = "--generate-bash-completion"

// completionEnded says whether words are asked for after "--". The library has
// none there, and would take the request for a real command: pressing the Tab
// key must never stop an instance.
func completionEnded(args []string) bool {
	return len(args) > 0 && args[len(args)-1] == completionFlag && slices.Contains(args, "--")
}
