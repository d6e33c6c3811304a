// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package boundedjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits bound a document. A field that is 0 has its value in [Default].
type Limits struct {
	Depth    int // of objects and arrays within each other
	Elements int // of all arrays together
	Members  int // of all objects together
	Keys     int // of one object
	Key      int // length of a key as written, in bytes
	Number   int // length of a number, in bytes: an error of encoding/json quotes it whole
}

// Default are the limits of [Unmarshal]. A document of 4 MiB has room for 32768
// descriptors of 128 bytes, and a descriptor with a digest and a size is not shorter.
var Default = Limits{Depth: 64, Elements: 32768, Members: 262144, Keys: 16384, Key: 4096, Number: 256}

func (l Limits) filled() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Depth, Default.Depth},
		{&l.Elements, Default.Elements},
		{&l.Members, Default.Members},
		{&l.Keys, Default.Keys},
		{&l.Key, Default.Key},
		{&l.Number, Default.Number},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// LimitError says which limit a document is over.
type LimitError struct {
	What  string // what comes before the limit in the sentence
	Limit int
	Unit  string // what comes after it
}

func (e *LimitError) Error() string { return fmt.Sprintf("%s %d%s", e.What, e.Limit, e.Unit) }

// Unmarshal decodes as [json.Unmarshal] does, unless data is over the [Default]
// limits: then it returns a [*LimitError] and leaves v as it is.
func Unmarshal(data []byte, v any) error { return UnmarshalWithin(data, v, Default) }

// UnmarshalWithin is [Unmarshal] with limits of the caller's.
func UnmarshalWithin(data []byte, v any, limits Limits) error {
	if err := Check(data, limits); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// NewDecoder returns a decoder of data, which is one document, after checking it
// against the [Default] limits.
func NewDecoder(data []byte) (*json.Decoder, error) {
	if err := Check(data, Default); err != nil {
		return nil, err
	}
	return json.NewDecoder(bytes.NewReader(data)), nil
}

// Check returns an error unless data is one JSON document within the limits.
func Check(data []byte, limits Limits) error { return check(data, limits, nil) }

// CheckKeys is [Check], and refuses what two JSON readers understand differently:
// see [Rules].
func CheckKeys(data []byte, limits Limits, rules *Rules) error { return check(data, limits, rules) }

func check(data []byte, limits Limits, rules *Rules) error {
	// Nothing is decoded here, nor copied: only the syntax is checked. The walk
	// counts on that.
	if err := json.Unmarshal(data, new(nothing)); err != nil {
		// It has no type of its own.
		if strings.HasSuffix(err.Error(), "after top-level value") {
			return errors.New("is JSON, and more follows it")
		}
		return err
	}
	w := walker{data: data, limits: limits.filled(), rules: rules}
	return w.value(0, false)
}

// nothing takes a document and keeps none of it.
type nothing struct{}

// UnmarshalJSON implements [json.Unmarshaler].
func (*nothing) UnmarshalJSON([]byte) error { return nil }
