package cores

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// quota returns the CPUs' worth of time that the control groups of the process and those above them grant: the least of
// all; 0 if none is bounded. Inside a container the groups' path may name folders outside: those are skipped.
func quota(root fs.FS) float64 {
	least := 0.0
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		// hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var mounts []string
		granted := granted1
		switch {
		case fields[0] == "0" && fields[1] == "":
			mounts, granted = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, granted2
		case strings.Contains(","+fields[1]+",", ",cpu,"):
			mounts = []string{"sys/fs/cgroup/cpu", "sys/fs/cgroup/" + fields[1]}
		default:
			continue
		}
		for _, mount := range mounts {
			for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
				if q := granted(root, path.Join(mount, group)); q > 0 && (least == 0 || q < least) {
					least = q
				}
				if group == "/" {
					break
				}
			}
		}
	}
	return least
}

// granted2 reads a group of version 2: microseconds of quota, or "max", and of the period.
func granted2(root fs.FS, group string) float64 {
	limit, period, _ := strings.Cut(strings.TrimSpace(read(root, path.Join(group, "cpu.max"))), " ")
	return ratio(limit, period)
}

// granted1 reads a group of version 1, where a quota of -1 is none.
func granted1(root fs.FS, group string) float64 {
	return ratio(strings.TrimSpace(read(root, path.Join(group, "cpu.cfs_quota_us"))),
		strings.TrimSpace(read(root, path.Join(group, "cpu.cfs_period_us"))))
}

// ratio returns 0 unless both are positive numbers.
func ratio(quota, period string) float64 {
	q, err1 := strconv.ParseInt(quota, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}
