// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package boundedjson

// walker counts what is in data, which is valid JSON.
type walker struct {
	data              []byte
	pos               int
	limits            Limits
	rules             *Rules // nil: any keys
	elements, members int
}

// value walks over one value and the white space before it.
func (w *walker) value(depth int, free bool) error {
	switch w.space(); w.data[w.pos] {
	case '{', '[':
		if depth == w.limits.Depth {
			return &LimitError{What: "nests deeper than", Limit: w.limits.Depth}
		}
		if w.data[w.pos] == '{' {
			return w.object(depth, free)
		}
		return w.array(depth, free)
	case '"':
		w.text()
		return nil
	}
	if w.scalar() > w.limits.Number {
		return &LimitError{What: "has a number of more than", Limit: w.limits.Number, Unit: " digits"}
	}
	return nil
}

func (w *walker) array(depth int, free bool) error {
	w.pos++
	for !w.closes(']') {
		if w.elements++; w.elements > w.limits.Elements {
			return &LimitError{What: "has more than", Limit: w.limits.Elements, Unit: " elements in its arrays"}
		}
		if err := w.value(depth+1, free); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) object(depth int, free bool) error {
	w.pos++
	var seen map[string]bool
	for keys := 1; !w.closes('}'); keys++ {
		if keys > w.limits.Keys {
			return &LimitError{What: "has an object with more than", Limit: w.limits.Keys, Unit: " keys"}
		}
		if w.members++; w.members > w.limits.Members {
			return &LimitError{What: "has more than", Limit: w.limits.Members, Unit: " members in its objects"}
		}
		written := w.text()
		if len(written) > w.limits.Key {
			return &LimitError{What: "has a key of more than", Limit: w.limits.Key, Unit: " bytes"}
		}
		below := free
		if w.rules != nil {
			if seen == nil {
				seen = map[string]bool{}
			}
			key, err := w.rules.check(written, seen, free)
			if err != nil {
				return err
			}
			below = free || w.rules.free[key]
		}
		w.space()
		w.pos++ // the colon
		if err := w.value(depth+1, below); err != nil {
			return err
		}
	}
	return nil
}

// closes walks to the next element or member, or over the end of what it is in.
func (w *walker) closes(end byte) bool {
	w.space()
	if w.data[w.pos] == ',' {
		w.pos++
		w.space()
	}
	if w.data[w.pos] == end {
		w.pos++
		return true
	}
	return false
}

// text walks over a string and returns what is between its quotes.
func (w *walker) text() []byte {
	w.pos++
	start := w.pos
	for ; w.data[w.pos] != '"'; w.pos++ {
		if w.data[w.pos] == '\\' {
			w.pos++
		}
	}
	w.pos++
	return w.data[start : w.pos-1]
}

// scalar walks over a number, true, false or null, and returns its length.
func (w *walker) scalar() int {
	start := w.pos
	for ; w.pos < len(w.data); w.pos++ {
		switch w.data[w.pos] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return w.pos - start
		}
	}
	return w.pos - start
}

func (w *walker) space() {
	for {
		switch w.data[w.pos] {
		case ' ', '\t', '\r', '\n':
			w.pos++
		default:
			return
		}
	}
}
