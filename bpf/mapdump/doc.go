// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package mapdump reads the content of a BPF map and writes keys and values as
// their C types say.
//
// Doors: [Read] for a map, [Decode] for bytes whose type is known, [Sum] for
// per-CPU values.
//
// How a value is written:
//   - integers are decimal numbers without loss of precision, bool is true or
//     false (its byte as "0x02" when it is neither), pointers are "0x…", floats are
//     numbers ("NaN", "+Inf" and "-Inf" as text);
//   - an enum is the name of its value, or the number when it has none;
//   - an array of char is text up to its first NUL, if there is one and all before is
//     printable UTF-8; other arrays are lists;
//   - structs, unions and data sections are [Struct]s; the fields of anonymous
//     members appear among those of their parent;
//   - __be16, __be32 and __be64 are shown as the number they mean on the wire;
//   - struct in_addr and struct in6_addr are IP addresses, and so is a __be32
//     field or typedef one of whose words (split at "_") is ip, ip4, ipv4,
//     addr, saddr, daddr, sip, dip, srcip or dstip;
//   - without a type, or where bytes and type do not fit, hex digits: "0x0a00".
package mapdump
