// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package varset turns text a person typed into the bytes of a C variable, as
// its BTF type says. It is the other direction of package mapdump, and touches
// neither files nor the kernel.
//
// Door: [Encode].
//
// How a value is written:
//   - integers: decimal or 0x… hexadecimal, with a sign; the range of the type is
//     checked. A leading zero is refused, because C would read octal;
//   - char and its like: a number, or one character in single quotes;
//   - bool: true, false, 1 or 0;
//   - enums: the name of a value, or a number in range;
//   - float and double: a decimal number, NaN or Inf;
//   - arrays of char: the text itself, which a NUL must still fit behind, or what is
//     longer than that could be: a JSON list;
//   - structs and unions: a JSON object, whose fields may also be those of
//     anonymous members. Fields that are not named keep their bytes; several of
//     one union must say the same;
//   - other arrays: a JSON list; elements behind its end keep their bytes;
//   - __be16, __be32 and __be64: the number they mean on the wire; a __be32,
//     struct in_addr and struct in6_addr also take an IP address;
//   - pointers can only be given as what they are already: "0x0";
//   - all but integers, enums and pointers: their bytes in order, "0x" and two
//     digits each.
//
// Inside JSON, scalars are JSON numbers, true and false, or text in the forms
// above ("0x10", "10.0.0.1", "TCP_ESTABLISHED").
package varset
