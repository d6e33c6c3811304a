// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

type kind int

const (
	kindText kind = iota // also numbers, true and false, as they are written
	kindList
	kindObject
)

// value is what a person gave: JSON, or the text of a scalar.
type value struct {
	kind   kind
	text   string
	list   []value
	fields []field
}

// field is one field of an object, in the order they were given.
type field struct {
	name  string
	value value
}

// scalar is the text of a value without parts; the error names what it is.
func (v value) scalar() (string, error) {
	switch v.kind {
	case kindList:
		return "", errors.New("a list")
	case kindObject:
		return "", errors.New("an object")
	}
	return v.text, nil
}

// parseJSON reads text as one JSON value. Unlike [json.Unmarshal] it keeps
// numbers as they are written, and refuses a field that is given twice.
func parseJSON(text string) (value, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return value{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return value{}, errors.New("something follows the value")
	}
	return v, nil
}

func readValue(dec *json.Decoder, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return value{}, err
	}
	switch t := token.(type) {
	case string:
		return value{text: t}, nil
	case json.Number:
		return value{text: t.String()}, nil
	case bool:
		return value{text: fmt.Sprint(t)}, nil
	case json.Delim:
		if t == '[' {
			return readList(dec, depth)
		}
		return readObject(dec, depth)
	}
	return value{}, errors.New("null is no value: leave the field out to keep what it has")
}

func readList(dec *json.Decoder, depth int) (value, error) {
	v := value{kind: kindList}
	for dec.More() {
		e, err := readValue(dec, depth+1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, e)
	}
	_, err := dec.Token()
	return v, err
}

func readObject(dec *json.Decoder, depth int) (value, error) {
	v := value{kind: kindObject}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return v, err
		}
		name, _ := token.(string) // the decoder takes nothing else here
		if seen[name] {
			return v, fmt.Errorf("field %q is given twice", name)
		}
		seen[name] = true
		inner, err := readValue(dec, depth+1)
		if err != nil {
			return v, err
		}
		v.fields = append(v.fields, field{name: name, value: inner})
	}
	_, err := dec.Token()
	return v, err
}
