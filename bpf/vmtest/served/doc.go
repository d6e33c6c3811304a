// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package served has many command lines run in one process. To start bpfimg takes an
// emulated processor a quarter of a second; here it is started once.
//
// The server is a process that [Start] starts. It reads requests from its standard
// input and writes answers to its standard output, as JSON, one value a line:
//
//	{"id":1,"args":["bpfimg","ps"]}      runs a command line
//	{"id":1,"interrupt":true}            does to it what Ctrl-C does to a process
//
//	{"id":1,"stdout":"…","stderr":"…"}   has printed this (base64)
//	{"id":1,"exit":0,"left":["…"]}       has ended, the last answer to it
//
// Several may run at a time; the client chooses the ids. Environment and folder are
// the server's. The end of the input interrupts what runs, and ends the server.
//
// What a process frees by its end, a command in a server must free itself. The
// server looks at its open files whenever no command runs: left lists those that were
// not open before. It ends TCP connections itself, which an HTTP client keeps on
// purpose. The kernel's memory of a process, such as its limits, and what
// libraries keep in variables stay from one command to the next; only commands in
// processes of their own show a mistake that this hides.
//
// Doors: [Serve] for the process, [Start] for whoever uses it.
package served
