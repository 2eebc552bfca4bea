package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is a control group with a limit of memory and no swap, version 1 or 2, whichever this machine lets a test make.
type cgroup struct {
	folder      string
	peak, stat  string // files
	kills       func() int64
	description string
}

// newCgroup makes one; it skips, loudly, where that is not possible. It is removed at the end of the test.
func newCgroup(t *testing.T, limit int64) *cgroup {
	t.Helper()
	name := fmt.Sprintf("siskin-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	bytes := strconv.FormatInt(limit, 10)
	var why []string
	for _, try := range []struct {
		root, limit, swap, peak, version string
	}{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.swappiness", "memory.max_usage_in_bytes", "1"},
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max", "memory.peak", "2"},
	} {
		g := &cgroup{folder: filepath.Join(try.root, name), peak: try.peak, stat: "memory.stat", description: "cgroup version " + try.version}
		if err := os.Mkdir(g.folder, 0o755); err != nil {
			why = append(why, err.Error())
			continue
		}
		err := os.WriteFile(filepath.Join(g.folder, try.limit), []byte(bytes), 0o600)
		if err != nil {
			why = append(why, err.Error())
			_ = os.Remove(g.folder) // an empty folder of nobody
			continue
		}
		_ = os.WriteFile(filepath.Join(g.folder, try.swap), []byte("0"), 0o600) // absent where the system has no swap
		g.kills = func() int64 {
			file := "memory.events"
			if try.version == "1" {
				file = "memory.oom_control"
			}
			return g.field(t, file, "oom_kill")
		}
		t.Cleanup(func() {
			for range 50 { // the last process takes a moment to leave
				if os.Remove(g.folder) == nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("%s cannot be removed", g.folder)
		})
		return g
	}
	t.Skipf("SKIPPED: no control group with a limit of memory can be made here (run as root): %s", strings.Join(why, "; "))
	return nil
}

// command runs a program inside: a shell enters the group, then becomes the program.
func (g *cgroup) command(name string, args ...string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.folder, "cgroup.procs"), name}, args...)...)
}

func (g *cgroup) field(t *testing.T, file, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.folder, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// maximum is the most memory that was charged so far.
func (g *cgroup) maximum(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.folder, g.peak))
	if err != nil {
		return 0 // version 2 before Linux 5.19
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cold writes a file out and takes it from the page cache, so that the group that reads it first is charged for it.
func cold(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// readSpeed is what the disk delivers of a file that is not in memory, in bytes a second, in large pieces one after the
// other.
func readSpeed(t *testing.T, path string) float64 {
	t.Helper()
	cold(t, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begun, total, piece := time.Now(), 0, make([]byte, 2<<20)
	for {
		n, err := f.Read(piece)
		total += n
		if err != nil {
			break
		}
	}
	speed := float64(total) / time.Since(begun).Seconds()
	cold(t, path)
	return speed
}
