// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package btfvalue reads and writes the bytes of C values as their BTF types say. It
// touches neither files nor the kernel, and takes bytes of either order.
//
// Doors: [Decode] shows bytes to a person, [Whole] such that no bit of them is lost,
// [Encode] makes bytes of text. What the first two show is what the third takes. [Sum]
// adds what was decoded.
//
// How a value is shown:
//   - integers are decimal numbers without loss of precision, bool is true or
//     false (its byte as "0x02" when it is neither), pointers are "0x…", floats are
//     numbers ("NaN", "+Inf" and "-Inf" as text);
//   - an enum is the name of its value, or the number when it has none;
//   - an array of char is text up to its first NUL, if there is one and all before is
//     printable UTF-8; other arrays are lists;
//   - structs, unions and data sections are [Struct]s; the fields of anonymous
//     members appear among those of their parent;
//   - __be16, __be32 and __be64 are the number they mean on the wire;
//   - struct in_addr and struct in6_addr are IP addresses, and so is a __be32
//     field or typedef one of whose words (split at "_") is ip, ip4, ipv4,
//     addr, saddr, daddr, sip, dip, srcip or dstip;
//   - without a type, or where bytes and type do not fit, hex digits: "0x0a00".
//
// [Whole] differs where that would lose bits: text with more behind its NUL is a list,
// a NaN other than C's is its bytes, and all is where bits have no name. It shows one
// member of a union, the first of its size, and no addresses because of names.
//
// How a value may be given, besides:
//   - integers: decimal or 0x… hexadecimal, with a sign; the range of the type is
//     checked. A leading zero is refused, because C would read octal;
//   - char and its like: a number, or one character in single quotes;
//   - bool: true, false, 1 or 0;
//   - enums: a number in range;
//   - arrays of char: the text itself, which a NUL must still fit behind, or what is
//     longer than that could be: a JSON list;
//   - structs and unions: a JSON object. Fields that are not named keep their bytes;
//     several of one union must say the same;
//   - other arrays: a JSON list; elements behind its end keep their bytes;
//   - pointers: only what they are already;
//   - __be32: an IP address, whatever its name;
//   - all but integers, enums and pointers: their bytes in order, "0x" and two
//     digits each.
//
// Inside JSON, scalars are JSON numbers, true and false, or text in the forms
// above ("0x10", "10.0.0.1", "TCP_ESTABLISHED").
package btfvalue
