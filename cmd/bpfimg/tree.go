// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/urfave/cli/v2"
)

func treeCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "tree",
		Usage:     "draw an image, its platforms, signatures, attestations, SBOMs and all else that is attached",
		ArgsUsage: "IMAGE",
		Flags:     []cli.Flag{outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action:    withSession(term, (*session).tree),
	}
}

// treeResult is what `tree -o json` prints.
type treeResult struct {
	Image image.Location `json:"image"`
	*image.Node
}

func (s *session) tree() (err error) {
	l, err := s.oneLocation()
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	places, err := s.places(nil)
	if err != nil {
		return err
	}
	origin, err := places.Origin(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, origin.Close()) }()
	root, err := image.Tree(ctx, origin.Source, origin.Ref)
	if err != nil {
		return fmt.Errorf("reading %s: %w", l, err)
	}
	return s.print(treeResult{l, root}, func() error {
		fmt.Fprintln(s.term.out, safe(l.String()))
		return drawNodes(s.term.out, []*image.Node{root}, "")
	})
}

// drawNodes prints nodes and what is below them, each behind indent.
func drawNodes(w io.Writer, nodes []*image.Node, indent string) error {
	for i, n := range nodes {
		branch, below := "├── ", "│   "
		if i == len(nodes)-1 {
			branch, below = "└── ", "    "
		}
		if _, err := fmt.Fprintln(w, indent+branch+safe(nodeText(n))); err != nil {
			return err
		}
		if err := drawNodes(w, append(n.Children[:len(n.Children):len(n.Children)], n.Referrers...), indent+below); err != nil {
			return err
		}
	}
	return nil
}

// nodeText is one node in a line.
func nodeText(n *image.Node) string {
	text := string(n.Kind)
	if n.Kind == "" {
		text = "unknown"
	}
	if n.Platform != "" {
		text += " " + n.Platform
	}
	text += " " + n.Descriptor.Digest.String()
	if n.Size > 0 {
		text += " " + sizeText(n.Size)
	}
	switch {
	case n.Type != "":
		text += " " + n.Type
	case n.Bytecode:
		text += " BPF bytecode"
	}
	if n.Tag != "" {
		text += " (tag " + n.Tag + ")"
	}
	if n.Problem != "" {
		text += ": " + n.Problem
	}
	return text
}
