// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package boundedjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	small := Limits{Depth: 2, Elements: 3, Members: 4, Keys: 3, Key: 5, Number: 4}
	tests := []struct{ doc, want string }{
		{`{"a":[1,2,3],"b":"\"]}[{,"}`, ""},
		{" [ { } , [ ] , null ] \n", ""},
		{`[[[]]]`, "nests deeper than 2"},
		{`{"a":{"b":{}}}`, "nests deeper than 2"},
		{`[0,0,0,0]`, "has more than 3 elements in its arrays"},
		{`[[0,0],[]]`, "has more than 3 elements in its arrays"},
		{`{"a":0,"b":0,"c":0,"d":0}`, "has an object with more than 3 keys"},
		{`{"a":{"b":0,"c":0},"d":{"e":0}}`, "has more than 4 members in its objects"},
		{`{"abcdef":0}`, "has a key of more than 5 bytes"},
		{`{"abcde":1234}`, ""},
		{`12345`, "has a number of more than 4 digits"},
		{`{"a":1e999}`, "has a number of more than 4 digits"},
	}
	for _, tt := range tests {
		var v any
		err := UnmarshalWithin([]byte(tt.doc), &v, small)
		var limit *LimitError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.doc, err)
		case tt.want != "" && (!errors.As(err, &limit) || err.Error() != tt.want):
			t.Errorf("%s: %v; want %s", tt.doc, err, tt.want)
		case tt.want != "" && v != nil:
			t.Errorf("%s: decoded all the same", tt.doc)
		}
	}
	if err := Check([]byte("{} {}"), Default); err == nil || err.Error() != "is JSON, and more follows it" {
		t.Errorf("two documents: %v", err)
	}
	for _, doc := range []string{"", " ", "{", "[1,]", `{"a":1,}`, `{}{}`, `"a`, strings.Repeat("[", 20000)} {
		var v any
		if err := Unmarshal([]byte(doc), &v); err == nil {
			t.Errorf("%.20q: no error", doc)
		}
		if _, err := NewDecoder([]byte(doc)); err == nil {
			t.Errorf("%.20q: a decoder", doc)
		}
	}
}

func TestCheckKeys(t *testing.T) {
	rules := NewRules([]string{"layers", "size", "annotations"}, []string{"annotations"})
	tests := []struct{ doc, want string }{
		{`{"layers":[{"size":1},{"size":2}],"annotations":{"Size":"","LAYERS":""}}`, ""},
		{`{"layers":0,"layers":1}`, `has the key "layers" twice`},
		{`{"layers":0,"\u006cayers":1}`, `has the key "layers" twice`},
		{`{"annotations":{"a":0,"a":1}}`, `has the key "a" twice`},
		{`{"Layers":0}`, `has the key "Layers", which is not quite "layers"`},
		{`{"a":{"ſize":0}}`, `which is not quite "size"`},
		{"{\"layers\":0,\"layers\xff\":1}", "which is not UTF-8"},
		{"{\"a\":{\"\xfe\":0}}", "which is not UTF-8"},
		{`{"layers\ud800":0}`, "which is not UTF-8"},
		{`{"a\ud83d\ude00":0}`, ""},
	}
	for _, tt := range tests {
		err := CheckKeys([]byte(tt.doc), Limits{}, rules)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: %v; want %q", tt.doc, err, tt.want)
		}
	}
}

// TestCheckAllocates: counting must not cost what it is to prevent.
func TestCheckAllocates(t *testing.T) {
	doc := []byte("[" + strings.Repeat(`{"a":[]},`, 30000) + "0]")
	if n := testing.AllocsPerRun(5, func() {
		if err := Check(doc, Default); err != nil {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzUnmarshal: what is accepted decodes as encoding/json decodes it, and what is
// within the limits is accepted if encoding/json accepts it.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,null,"x\"\\\u0041"],"b":{"c":{}}}`, ` [ { } , [ ] ] `, `0`, `"`, `{"a"`, `[,]`, "{\"\xff\":0}",
		`{"a":0,"a":1}`, strings.Repeat("[", 70), `{"a" : 1 , "b":[ 2 ] }`, `"\\"`, `nul`, "\x00", `{}x`,
	} {
		f.Add([]byte(seed))
	}
	rules := NewRules([]string{"a"}, []string{"b"})
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want any
		gotErr, wantErr := Unmarshal(data, &got), json.Unmarshal(data, &want)
		var limit *LimitError
		switch {
		case errors.As(gotErr, &limit):
			return
		case (gotErr == nil) != (wantErr == nil):
			t.Fatalf("%v; encoding/json: %v", gotErr, wantErr)
		case gotErr == nil && !reflect.DeepEqual(got, want):
			t.Fatalf("%v; encoding/json: %v", got, want)
		}
		if err := CheckKeys(data, Default, rules); err == nil && wantErr != nil && !json.Valid(data) {
			t.Fatal("CheckKeys accepts what is not JSON")
		}
	})
}
