// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
)

// Limits on a condition: its text in bytes and how deep it nests, and what one
// evaluation may cost, in CEL's units (roughly one an operation or element
// looked at). A pass over every file of a large SBOM is some 10,000.
const (
	maxCondition        = 4096
	maxConditionNesting = 64
	maxConditionCost    = 200_000
	// interruptEvery is how many steps of a loop pass before the context is
	// looked at.
	interruptEvery = 256
)

// condition is a compiled CEL expression.
type condition struct {
	text    string
	program cel.Program
}

// subjectImage is what a condition knows of the image.
type subjectImage struct {
	// repository is registry and path, digest that of the image manifest, version
	// the one its labels claim.
	repository, digest, version string
}

// conditionEnv declares what a condition can name.
func conditionEnv() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("predicate", cel.DynType),
		cel.Variable("subject", cel.ListType(cel.MapType(cel.StringType, cel.DynType))),
		cel.Variable("image", cel.MapType(cel.StringType, cel.StringType)),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(maxConditionNesting),
	)
}

// newCondition parses and type-checks text, whose result must be a bool.
func newCondition(env *cel.Env, text string) (*condition, error) {
	if len(text) > maxCondition {
		return nil, fmt.Errorf("condition of %d bytes: the limit is %d", len(text), maxCondition)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	if !ast.OutputType().IsAssignableType(cel.BoolType) && ast.OutputType().Kind() != cel.DynKind {
		return nil, fmt.Errorf("condition %q is a %s: want true or false", clip(text), ast.OutputType())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(maxConditionCost), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	return &condition{text: text, program: program}, nil
}

// holds returns nil when the condition is true. What cannot be evaluated is not
// true; an end of ctx is.
func (c *condition) holds(ctx context.Context, predicate any, subjects []map[string]any, img subjectImage) error {
	value, _, err := c.program.ContextEval(ctx, map[string]any{
		"predicate": predicate,
		"subject":   subjects,
		"image": map[string]string{
			"repository": img.repository, "digest": img.digest, "version": img.version,
		},
	})
	if err != nil {
		return fmt.Errorf("the condition %q cannot be evaluated: %w", clip(c.text), err)
	}
	switch value.Value() {
	case true:
		return nil
	case false:
		return fmt.Errorf("the condition %q is false", clip(c.text))
	}
	return errors.New("the condition is neither true nor false")
}
