// Package cores says which CPUs of a machine are worth a thread: the fast physical cores that this process may use.
//
// It reads the files that Linux shows of its CPUs and control groups, below a root that the caller gives, so that tests
// run over the files of other machines. It never fails: what a machine does not show has a plain answer. The files are
// described in the kernel's documentation: Documentation/ABI/testing/sysfs-devices-system-cpu, admin-guide/cputopology,
// admin-guide/cgroup-v2, scheduler/sched-bwc and scheduler/sched-capacity (read for 6.12).
package cores

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Machine is what a process has of a machine.
type Machine struct {
	// Model names the CPUs: what /proc/cpuinfo says of their kinds; "" if it says nothing.
	Model string
	// Allowed are the logical CPUs that the process may run on, ascending; never empty.
	Allowed []int
	// Fast is one logical CPU of each fast physical core among Allowed, ascending; never empty. Where all cores are alike,
	// all are fast.
	Fast []int
	// Mixed is set where some of Allowed belong to slow cores.
	Mixed bool
	// Quota is how many CPUs' time the control groups grant; 0: no bound.
	Quota float64
}

// Threads returns how many threads are worth running: one for each fast core, but not more than the whole CPUs of the
// quota, since threads that use up a quota together are all stopped for the rest of its period; at least one.
func (m *Machine) Threads() int {
	n := len(m.Fast)
	if m.Quota > 0 {
		n = min(n, int(m.Quota))
	}
	return max(1, n)
}

// Read looks at the machine whose file system is below root: os.DirFS("/") for this one. numCPU is how many CPUs are
// assumed if it does not say; at least one.
func Read(root fs.FS, numCPU int) Machine {
	m := Machine{Model: model(root), Allowed: allowed(root, numCPU), Quota: quota(root)}
	fast := fastest(root, m.Allowed)
	m.Mixed = len(fast) < len(m.Allowed)
	for _, cpu := range fast {
		if first(root, cpu, m.Allowed) == cpu {
			m.Fast = append(m.Fast, cpu)
		}
	}
	return m
}

// allowed returns the CPUs of the affinity, which the kernel keeps within the cpuset; else those that are online.
func allowed(root fs.FS, numCPU int) []int {
	for line := range strings.Lines(read(root, "proc/self/status")) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			if cpus := parseList(list); len(cpus) > 0 {
				return cpus
			}
		}
	}
	if cpus := parseList(read(root, "sys/devices/system/cpu/online")); len(cpus) > 0 {
		return cpus
	}
	cpus := make([]int, max(1, numCPU))
	for i := range cpus {
		cpus[i] = i
	}
	return cpus
}

// fastest returns those of cpus that are more than four fifths as fast as the fastest. The bound lies between two kinds of
// cores, such as the 1.8 and 2.3 GHz of an RK3588 or the 3.8 and 5.0 GHz of a hybrid of Intel's, and cores of one kind of
// which some have a little more turbo. It is an estimate from data sheets.
func fastest(root fs.FS, cpus []int) []int {
	for _, file := range []string{"cpu_capacity", "cpufreq/cpuinfo_max_freq"} {
		speeds := make([]int, 0, len(cpus))
		for _, cpu := range cpus {
			speed, err := strconv.Atoi(strings.TrimSpace(read(root, cpuPath(cpu, file))))
			if err == nil && speed > 0 {
				speeds = append(speeds, speed)
			}
		}
		if len(speeds) < len(cpus) {
			continue // one unknown speed makes all incomparable
		}
		top := slices.Max(speeds)
		var fast []int
		for i, cpu := range cpus {
			if speeds[i]*5 > top*4 {
				fast = append(fast, cpu)
			}
		}
		if len(fast) < len(cpus) {
			return fast
		}
	}
	return cpus
}

// first returns the lowest of the CPUs in use that are hardware threads of the same core as cpu.
func first(root fs.FS, cpu int, use []int) int {
	for _, sibling := range parseList(read(root, cpuPath(cpu, "topology/thread_siblings_list"))) {
		if slices.Contains(use, sibling) {
			return min(sibling, cpu)
		}
	}
	return cpu
}

func cpuPath(cpu int, file string) string {
	return fmt.Sprintf("sys/devices/system/cpu/cpu%d/%s", cpu, file)
}

// model joins the distinct lines of /proc/cpuinfo that name the kinds of CPUs: x86 has a name, arm64 has numbers of the
// implementer, the part and the variant.
func model(root fs.FS) string {
	var names []string
	for line := range strings.Lines(read(root, "proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		switch key = strings.TrimSpace(key); key {
		case "CPU implementer", "CPU variant", "CPU part":
			value = strings.TrimPrefix(key, "CPU ") + " " + strings.TrimSpace(value)
		case "model name":
		default:
			continue
		}
		if value = strings.TrimSpace(value); !slices.Contains(names, value) {
			names = append(names, value)
		}
	}
	return strings.Join(names, ", ")
}

// maxCPU is the highest number that a list may name: no Linux kernel is built for more CPUs (CONFIG_NR_CPUS of x86).
const maxCPU = 8191

// parseList reads a list of CPUs such as "0-3,8,10-11"; nil if it is not one.
func parseList(s string) []int {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || from < 0 || to < from || to > maxCPU {
			return nil
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// read returns the text of a file, "" if there is none.
func read(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(data)
}
