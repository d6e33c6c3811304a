// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"
)

// maxMounts bounds how many bytes are read of a list of mounts. The kernel allows
// 100000 of them (fs.mount-max), of mostly less than 200 bytes.
const maxMounts = 64 << 20

// mounted looks at the network namespaces that are mounted in what a process sees of
// the file system, wherever that is: one in which no process is lives on by such a
// mount. views are the mount namespaces that were looked at.
func (s *search) mounted(process string, views map[uint64]bool) error {
	var st unix.Stat_t
	if err := unix.Stat(process+"/ns/mnt", &st); err != nil || views[st.Ino] {
		return unlessGone(err)
	}
	f, err := os.Open(process + "/mountinfo")
	if err != nil {
		return unlessGone(err)
	}
	defer f.Close()
	rest := &io.LimitedReader{R: f, N: maxMounts}
	lines := bufio.NewScanner(rest)
	var errs []error
	for lines.Scan() {
		if at, ok := namespaceMount(lines.Text()); ok {
			errs = append(errs, s.namespace(process+"/root"+at))
		}
	}
	switch err := lines.Err(); {
	case unlessGone(err) != nil:
		return fmt.Errorf("reading what process %s has mounted: %w", process, err)
	case rest.N == 0:
		return fmt.Errorf("%w: %s has too much mounted", ErrBlind, process)
	case err == nil:
		views[st.Ino] = true // else another process may still show it
	}
	return joined.Errors(errs...)
}

// namespaceMount is where a network namespace is mounted, by a line of
// /proc/PID/mountinfo (proc_pid_mountinfo(5)); ok is false for other mounts.
func namespaceMount(line string) (at string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || !strings.HasPrefix(fields[3], "net:[") {
		return "", false
	}
	return unescape(fields[4]), true
}

// unescape puts back blanks and the like, which are there as a backslash and three
// octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
