// Package memory says what memory this process may have, what it has, and when the system runs short of it.
//
// Limits and usage are read below a root that the caller gives, so that tests run over the files of other machines; what a
// system does not show is zero. The files are described in the kernel's documentation: admin-guide/cgroup-v1/memory,
// admin-guide/cgroup-v2, accounting/psi and filesystems/proc (read for 6.12).
package memory

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// Limits are what bounds the memory of a process, in bytes.
type Limits struct {
	Group     int64  // of the control groups that it is in; 0: no bound
	GroupFile string // where that stands
	Available int64  // what the system could give without swapping (MemAvailable); 0: unknown
}

// Budget is the smaller of the two and where it comes from; math.MaxInt64 if neither is known.
func (l Limits) Budget() (bytes int64, from string) {
	switch {
	case l.Group > 0 && (l.Available == 0 || l.Group <= l.Available):
		return l.Group, "limit of the control group, " + l.GroupFile
	case l.Available > 0:
		return l.Available, "available at the start, MemAvailable"
	}
	return math.MaxInt64, "no limit is known"
}

// Usage is what a process has, in bytes.
type Usage struct {
	Anonymous int64 // resident memory of its own (RssAnon)
	File      int64 // resident pages of files (RssFile)
	Group     int64 // charged to its control group, page cache included
	GroupMax  int64 // the limit of the control groups; 0: no bound
	// Refaults are pages of files that its control group had to read again soon after it lost them, since the group began, and
	// SystemRefaults those of all groups, since the system began.
	Refaults, SystemRefaults int64
}

// ReadLimits looks at the system whose file system is below root: os.DirFS("/") for this one.
func ReadLimits(root fs.FS) Limits {
	l := Limits{Available: kilobytes(read(root, "proc/meminfo"), "MemAvailable:")}
	l.Group, l.GroupFile = groupLimit(groups(root), root)
	return l
}

// ReadUsage reads what this process has at the moment.
func ReadUsage(root fs.FS) Usage {
	status := read(root, "proc/self/status")
	u := Usage{Anonymous: kilobytes(status, "RssAnon:"), File: kilobytes(status, "RssFile:")}
	u.SystemRefaults = field(read(root, "proc/vmstat"), "workingset_refault_file")
	for _, g := range groups(root) {
		used := number(read(root, path.Join(g.folder, g.version.current)))
		if used == 0 {
			continue // the root of version 2 says nothing
		}
		u.Group, u.Refaults = used, field(read(root, path.Join(g.folder, "memory.stat")), g.version.refaults)
		break
	}
	u.GroupMax, _ = groupLimit(groups(root), root)
	return u
}

// version names the files of a version of control groups.
type version struct {
	limits            []string
	current, refaults string
}

// versions of the memory controller. What counts as none is a word in version 2, and a number near 2^63 in version 1.
func version1() version {
	return version{[]string{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "workingset_refault_file"}
}

func version2() version {
	return version{[]string{"memory.max", "memory.high"}, "memory.current", "workingset_refault_file"}
}

// group is a control group of this process, or one above it.
type group struct {
	folder string // below the root
	version
}

// groups lists the control groups of this process that may account memory, the innermost first. In a container the path
// may be that of the host, and the group itself is then what is mounted: folders that do not exist say nothing.
func groups(root fs.FS) (out []group) {
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		// hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		mounts, v := []string{"sys/fs/cgroup"}, version2()
		if strings.Contains(","+fields[1]+",", ",memory,") {
			mounts, v = []string{"sys/fs/cgroup/memory", "sys/fs/cgroup/" + fields[1]}, version1()
		} else if fields[0] != "0" || fields[1] != "" {
			continue
		}
		for _, mount := range mounts {
			for g := path.Clean("/" + fields[2]); ; g = path.Dir(g) {
				out = append(out, group{path.Join(mount, g), v})
				if g == "/" {
					break
				}
			}
		}
	}
	return out
}

// groupLimit is the lowest limit of the groups, and its file.
func groupLimit(groups []group, root fs.FS) (bytes int64, file string) {
	const none = 1 << 60 // version 1 writes the largest multiple of a page
	for _, g := range groups {
		for _, name := range g.limits {
			if n := number(read(root, path.Join(g.folder, name))); n > 0 && n < none && (bytes == 0 || n < bytes) {
				bytes, file = n, "/"+path.Join(g.folder, name)
			}
		}
	}
	return bytes, file
}

// kilobytes returns the value of a line such as "RssAnon:  123 kB" in bytes; 0 if there is none.
func kilobytes(text, name string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return number(strings.TrimSuffix(strings.TrimSpace(value), "kB")) << 10
		}
	}
	return 0
}

// field returns the value of a line such as "name 123"; 0 if there is none.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return number(value)
		}
	}
	return 0
}

// number reads a non-negative number; 0 if it is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// read returns the text of a file, "" if there is none.
func read(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(data)
}

// String is one line for a log.
func (u Usage) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("anonymous %d MiB, of files %d MiB, control group %d of %d MiB, %d refaults",
		u.Anonymous/mib, u.File/mib, u.Group/mib, u.GroupMax/mib, u.Refaults)
}
