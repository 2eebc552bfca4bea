package memory

import (
	"os"
	"strings"
	"testing"
)

// What is dropped comes back when it is used: the program goes on, and less of it is in memory than before.
func TestTrimProgram(t *testing.T) {
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("SKIPPED: no /proc")
	}
	touch(t)
	before := programResident(t, name)
	if err := TrimProgram(); err != nil {
		t.Fatal(err)
	}
	after := programResident(t, name)
	t.Logf("read-only pages of the program: %d KiB before, %d KiB after", before, after)
	if after >= before {
		t.Errorf("%d KiB before, %d KiB after", before, after)
	}
	touch(t)
}

// touch reads every page of the program by another way and runs some of it.
func touch(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil || len(data) == 0 {
		t.Fatalf("%d bytes, error %v", len(data), err)
	}
}

// programResident is the resident size of mappings of a file that the process cannot write to, in KiB (proc(5), smaps).
func programResident(t *testing.T, name string) (sum int64) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ours := false
	for line := range strings.Lines(string(data)) {
		if m, ok := privateOf(line, name); ok {
			ours = !m.writable
		} else if strings.Contains(line, "-") && !strings.HasSuffix(strings.Fields(line)[0], ":") {
			ours = false
		}
		if ours && strings.HasPrefix(line, "Rss:") {
			sum += kilobytes(line, "Rss:") >> 10
		}
	}
	return sum
}

// Lines of /proc/self/maps that are not the program, or are shared or broken, are left alone.
func TestPrivateOf(t *testing.T) {
	const name = "/usr/bin/a program"
	for line, want := range map[string]struct{ ok, writable bool }{
		"00400000-00c00000 r-xp 00000000 fd:00 1234                       /usr/bin/a program\n": {true, false},
		"00c00000-01200000 r--p 00800000 fd:00 1234                       /usr/bin/a program\n": {true, false},
		"01200000-01240000 rw-p 00e00000 fd:00 1234                       /usr/bin/a program\n": {true, true},
		"01200000-01240000 r--s 00e00000 fd:00 1234                       /usr/bin/a program\n": {},
		"01200000-01240000 r--p 00e00000 fd:00 1234                       /usr/bin/another\n":   {},
		"01240000-01280000 r--p 00000000 00:00 0\n":                                             {},
		"x-y r--p 00000000 fd:00 1234 /usr/bin/a program\n":                                     {},
		"": {},
	} {
		m, ok := privateOf(line, name)
		if ok != want.ok || m.writable != want.writable || ok && m.from >= m.to {
			t.Errorf("%q: %+v, %v", line, m, ok)
		}
	}
}
