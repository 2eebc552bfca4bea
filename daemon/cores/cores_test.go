package cores

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"
)

// tree makes the files of a machine.
func tree(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

// perCPU adds a file with the given text for each CPU, from 0.
func perCPU(files map[string]string, file string, texts ...string) map[string]string {
	for cpu, text := range texts {
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/%s", cpu, file)] = text + "\n"
	}
	return files
}

const status = "Name:\tsiskin\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\nMems_allowed_list:\t0\n"

func pi(part, freq string) map[string]string {
	files := map[string]string{"proc/self/status": fmt.Sprintf(status, "0-3"), "proc/self/cgroup": "0::/system.slice/siskin.service\n"}
	for range 4 {
		files["proc/cpuinfo"] += "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: " + part + "\n\n"
	}
	files["proc/cpuinfo"] += "Model\t\t: Raspberry Pi\n"
	perCPU(files, "cpufreq/cpuinfo_max_freq", freq, freq, freq, freq)
	return perCPU(files, "topology/thread_siblings_list", "0", "1", "2", "3")
}

func rk3588(allowedList string) map[string]string {
	files := map[string]string{
		"proc/self/status": fmt.Sprintf(status, allowedList),
		"proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x2\nCPU part\t: 0xd05\n\n" +
			"processor\t: 4\nCPU implementer\t: 0x41\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\n",
	}
	perCPU(files, "topology/thread_siblings_list", "0", "1", "2", "3", "4", "5", "6", "7")
	perCPU(files, "cpufreq/cpuinfo_max_freq", "1800000", "1800000", "1800000", "1800000", "2352000", "2352000", "2304000", "2304000")
	return perCPU(files, "cpu_capacity", "414", "414", "414", "414", "1024", "1024", "1003", "1003")
}

func without(files map[string]string, names ...string) map[string]string {
	for _, name := range names {
		delete(files, name)
	}
	return files
}

// xeon has two cores of two hardware threads; the siblings are not neighbours.
func xeon(list string) map[string]string {
	files := map[string]string{"proc/self/status": fmt.Sprintf(status, list), "proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon: fast\nprocessor\t: 1\nmodel name\t: Xeon: fast\n"}
	return perCPU(files, "topology/thread_siblings_list", "0,2", "1,3", "0,2", "1,3")
}

func with(files map[string]string, pairs ...string) map[string]string {
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = pairs[i+1]
	}
	return files
}

func TestRead(t *testing.T) {
	n100 := perCPU(perCPU(map[string]string{
		"proc/self/status": fmt.Sprintf(status, "0-3"),
		"proc/cpuinfo":     "model name\t: Intel(R) N100\n",
	}, "cpufreq/cpuinfo_max_freq", "3400000", "3400000", "3400000", "3400000"), "topology/thread_siblings_list", "0", "1", "2", "3")
	// A hybrid: two performance cores of two threads each, one of them favoured, and two efficiency cores.
	hybrid := perCPU(perCPU(map[string]string{"sys/devices/system/cpu/online": "0-5\n"},
		"cpufreq/cpuinfo_max_freq", "5200000", "5200000", "5000000", "5000000", "3800000", "3800000"),
		"topology/thread_siblings_list", "0-1", "0-1", "2-3", "2-3", "4", "5")
	four, eight := []int{0, 1, 2, 3}, []int{0, 1, 2, 3, 4, 5, 6, 7}
	const a72, a76 = "implementer 0x41, variant 0x0, part 0xd08", "implementer 0x41, variant 0x0, part 0xd0b"
	const rk = "implementer 0x41, variant 0x2, part 0xd05, variant 0x4, part 0xd0b"
	for name, c := range map[string]struct {
		files   map[string]string
		want    Machine
		threads int
	}{
		"nothing known":       {nil, Machine{Allowed: []int{0, 1, 2}, Fast: []int{0, 1, 2}}, 3},
		"Pi 4":                {pi("0xd08", "1500000"), Machine{Model: a72, Allowed: four, Fast: four}, 4},
		"Pi 5":                {pi("0xd0b", "2400000"), Machine{Model: a76, Allowed: four, Fast: four}, 4},
		"RK3588":              {rk3588("0-7"), Machine{Model: rk, Allowed: eight, Fast: []int{4, 5, 6, 7}, Mixed: true}, 4},
		"RK3588, some of all": {rk3588("2-5"), Machine{Model: rk, Allowed: []int{2, 3, 4, 5}, Fast: []int{4, 5}, Mixed: true}, 2},
		"RK3588, small cores": {rk3588("0-3"), Machine{Model: rk, Allowed: four, Fast: four}, 4},
		"RK3588, a capacity is missing": {
			without(rk3588("0-7"), "sys/devices/system/cpu/cpu3/cpu_capacity"),
			Machine{Model: rk, Allowed: eight, Fast: []int{4, 5, 6, 7}, Mixed: true},
			4,
		},
		"RK3588, a capacity and a frequency are missing": {
			without(rk3588("0-7"), "sys/devices/system/cpu/cpu3/cpu_capacity", "sys/devices/system/cpu/cpu5/cpufreq/cpuinfo_max_freq"),
			Machine{Model: rk, Allowed: eight, Fast: eight},
			8,
		},
		"N100":                 {n100, Machine{Model: "Intel(R) N100", Allowed: four, Fast: four}, 4},
		"hybrid":               {hybrid, Machine{Allowed: []int{0, 1, 2, 3, 4, 5}, Fast: []int{0, 2}, Mixed: true}, 2},
		"hardware threads":     {xeon("0-3"), Machine{Model: "Xeon: fast", Allowed: four, Fast: []int{0, 1}}, 2},
		"second threads alone": {xeon("2-3"), Machine{Model: "Xeon: fast", Allowed: []int{2, 3}, Fast: []int{2, 3}}, 2},
		"one and a half CPUs": {
			with(xeon("0-3"), "proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000\n", "sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
			Machine{Model: "Xeon: fast", Allowed: four, Fast: []int{0, 1}, Quota: 1.5},
			1,
		},
		"half a CPU, container": {
			with(xeon("0-3"), "proc/self/cgroup", "0::/../outside\n", "sys/fs/cgroup/cpu.max", "50000 100000\n"),
			Machine{Model: "Xeon: fast", Allowed: four, Fast: []int{0, 1}, Quota: 0.5},
			1,
		},
		"groups of version 1": {
			with(
				xeon("0-3"), "proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n",
				"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "100000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n",
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n",
			),
			Machine{Model: "Xeon: fast", Allowed: four, Fast: []int{0, 1}, Quota: 1},
			1,
		},
	} {
		got := Read(tree(c.files), 3)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, c.want)
		}
		if got.Threads() != c.threads {
			t.Errorf("%s: %d threads, want %d", name, got.Threads(), c.threads)
		}
	}
}

func TestParseList(t *testing.T) {
	for text, want := range map[string][]int{
		"0": {0}, "0-2\n": {0, 1, 2}, " 8,0-1 ": {0, 1, 8}, "1,1": {1}, "": nil, "a": nil, "2-1": nil, "0-99999999": nil,
		"-1": nil, "0-": nil, "1,,2": nil, "0-8191,9999": nil,
	} {
		if got := parseList(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Nothing that the files say leaves a machine without a CPU.
func FuzzRead(f *testing.F) {
	f.Add("0-3", "1024", "0-1", "0::/a\n", "100000 100000")
	f.Add("", "-5", "7", ":::", "max")
	f.Fuzz(func(t *testing.T, list, capacity, siblings, groups, limit string) {
		m := Read(tree(map[string]string{
			"proc/self/status": "Cpus_allowed_list:" + list, "proc/self/cgroup": groups, "sys/fs/cgroup/cpu.max": limit,
			"sys/devices/system/cpu/cpu0/cpu_capacity":                  capacity,
			"sys/devices/system/cpu/cpu0/topology/thread_siblings_list": siblings,
		}), 1)
		if len(m.Allowed) == 0 || len(m.Fast) == 0 || m.Threads() < 1 {
			t.Errorf("%+v", m)
		}
	})
}

// This machine, whatever it is, has at least one core, and not more than it has CPUs.
func TestReadThisMachine(t *testing.T) {
	m := Read(os.DirFS("/"), 1)
	if len(m.Fast) < 1 || len(m.Fast) > len(m.Allowed) || m.Threads() < 1 {
		t.Errorf("%+v", m)
	}
	t.Logf("%+v", m)
}
