// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"encoding/json"
	"math/big"
	"reflect"
)

// Sum adds values of one type, such as those of all CPUs, field by field. Numbers are added without
// overflow; anything else (text, addresses, enum names) is kept where all
// agree and is nil where they do not.
func Sum(values []any) any {
	if len(values) == 0 {
		return nil
	}
	sum := values[0]
	for _, v := range values[1:] {
		sum = add(sum, v)
	}
	return sum
}

// add sums two values of the same shape; values of one map always have it,
// except where a union or a broken type made them differ.
func add(a, b any) any {
	switch a := a.(type) {
	case json.Number:
		if b, ok := b.(json.Number); ok {
			return addNumbers(a, b)
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			out := make([]any, len(a))
			for i := range a {
				out[i] = add(a[i], b[i])
			}
			return out
		}
	case Struct:
		if b, ok := b.(Struct); ok && len(a) == len(b) {
			out := make(Struct, len(a))
			for i := range a {
				out[i] = Field{Name: a[i].Name, Value: add(a[i].Value, b[i].Value)}
			}
			return out
		}
	}
	if reflect.DeepEqual(a, b) {
		return a
	}
	return nil
}

func addNumbers(a, b json.Number) any {
	x, okX := new(big.Int).SetString(a.String(), 10)
	y, okY := new(big.Int).SetString(b.String(), 10)
	if okX && okY {
		return json.Number(x.Add(x, y).String())
	}
	f, errF := a.Float64()
	g, errG := b.Float64()
	if errF != nil || errG != nil {
		return nil
	}
	return formatFloat(f+g, 64)
}
