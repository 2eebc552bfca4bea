package memory

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TrimProgram drops the pages of the program's own file, code and read-only data, from memory, and has them read one by one
// again as they are used. What starts the program reads ahead, and the page cache keeps that in pieces that only go as a
// whole (doc/decisions/0019-memory-budget.md has the numbers).
// Pages that another process has mapped too stay in memory, but belong to it as well. What it costs is one read of a page for
// each that is used again. Variables keep what was written to them; of those too only what is used is read from now on: a
// system may be set to read megabytes around each page.
//
// Source: madvise(2), MADV_DONTNEED and MADV_RANDOM on a private mapping that nobody has written to; posix_fadvise(2).
func TrimProgram() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer program.Close()
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		m, ok := privateOf(line, name)
		if !ok {
			continue
		}
		advice := []uintptr{unix.MADV_RANDOM, unix.MADV_DONTNEED}
		if m.writable {
			advice = advice[:1] // what was written is nowhere else
		}
		for _, a := range advice {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, a); errno != 0 {
				return fmt.Errorf("memory: program pages %x-%x: madvise: %w", m.from, m.to, errno)
			}
		}
	}
	return unix.Fadvise(int(program.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// private is a private mapping of the program's file.
type private struct {
	from, to uintptr
	writable bool
}

// privateOf takes a line of /proc/self/maps, "from-to perms offset device inode name" (proc(5)), if it is a private mapping of
// that file.
func privateOf(line, name string) (m private, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || strings.Join(fields[5:], " ") != name || len(fields[1]) != 4 || fields[1][3] != 'p' {
		return private{}, false
	}
	first, last, _ := strings.Cut(fields[0], "-")
	a, err1 := strconv.ParseUint(first, 16, 64)
	b, err2 := strconv.ParseUint(last, 16, 64)
	return private{uintptr(a), uintptr(b), fields[1][1] == 'w'}, err1 == nil && err2 == nil
}
