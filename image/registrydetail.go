// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// maxDetailDepth is how deep a detail is looked into.
const maxDetailDepth = 4

// detailText is the detail of a registry's error, which can be anything JSON has, in
// one line: a string as it is, the rest as compact JSON. Much of it is left out when it
// is long, and "" is what says nothing.
func detailText(detail any) string {
	if text, ok := detail.(string); ok {
		return text
	}
	var b strings.Builder
	writeDetail(&b, detail, maxDetailDepth)
	switch text := b.String(); text {
	case "{}", "[]", "null":
		return ""
	default:
		return text
	}
}

// writeDetail writes JSON of v, and no more once there is more than is shown. Values
// whose key says that they are secret are left out.
func writeDetail(b *strings.Builder, v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		writeItems(b, "{}", len(keys), depth, func(i int) {
			writeScalar(b, keys[i])
			b.WriteByte(':')
			if secretKey().MatchString(keys[i]) {
				b.WriteString(left)
				return
			}
			writeDetail(b, v[keys[i]], depth-1)
		})
	case []any:
		writeItems(b, "[]", len(v), depth, func(i int) { writeDetail(b, v[i], depth-1) })
	default:
		writeScalar(b, v)
	}
}

// left stands for what is left out.
const left = "…"

func writeItems(b *strings.Builder, brackets string, n, depth int, write func(i int)) {
	if depth == 0 && n > 0 {
		b.WriteString(left)
		return
	}
	b.WriteByte(brackets[0])
	for i := range n {
		if b.Len() > maxMessage {
			b.WriteString(left)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		write(i)
	}
	b.WriteByte(brackets[1])
}

func writeScalar(b *strings.Builder, v any) {
	if text, ok := v.(string); ok {
		v = cut(text)
	}
	data, err := json.Marshal(v)
	if err != nil {
		data = fmt.Append(nil, v) // nothing that JSON was decoded to
	}
	b.Write(data)
}

// secretKey are the names of values that are not shown.
var secretKey = lazyregexp.New(`(?i)token|passw|secret|credential|authorization|signature|cookie|api.?key`)

// secrets are what a registry may have of us or of its storage, and send back:
// credentials as headers have them, tokens, the account in a URL, and its query, in
// which signatures stand.
var secrets = []struct {
	in   func() *regexp.Regexp
	left string
}{
	{lazyregexp.New(`(?i)\b(basic|bearer)\s+[a-z0-9+/._~=-]{8,}`), "$1 " + left},
	{lazyregexp.New(`\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`), left},
	{lazyregexp.New(`(?i)\b([a-z][a-z0-9+.-]*://)[^\s/"'@]+@`), "${1}" + left + "@"},
	{lazyregexp.New(`(?i)\b([a-z][a-z0-9+.-]*://[^\s?"']*)\?[^\s"']+`), "${1}?" + left},
	{lazyregexp.New(`(?i)\b([a-z_-]*(?:token|password|secret|signature|api.?key)\s?[=:]\s?)[^\s&"',;]+`), "${1}" + left},
}

// quiet is what a registry says, shortened, without what must not get into the log of
// a CI job. It is foreign text still: quote it.
func quiet(s string) string {
	// Before it is shortened: half a secret no longer looks like one.
	s = excerpt.Of(s, 16*maxMessage)
	for _, secret := range secrets {
		s = secret.in().ReplaceAllString(s, secret.left)
	}
	return cut(s)
}
