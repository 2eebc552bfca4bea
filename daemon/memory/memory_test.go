package memory_test

import (
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"siskin/daemon/memory"
)

// system makes the files of a system.
func system(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

const meminfo = "MemTotal:       24683704 kB\nMemFree:        21483992 kB\nMemAvailable:   1000 kB\n"

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		budget int64
		from   string
	}{
		{"nothing", nil, math.MaxInt64, "no limit"},
		{"no group", map[string]string{"proc/meminfo": meminfo}, 1000 << 10, "MemAvailable"},
		{"version 2", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/siskin.service\n",
			"sys/fs/cgroup/system.slice/siskin.service/memory.max":  "204800\n",
			"sys/fs/cgroup/system.slice/siskin.service/memory.high": "max\n",
		}, 204800, "siskin.service/memory.max"},
		{"version 2, soft limit", map[string]string{
			"proc/self/cgroup":               "0::/a\n",
			"sys/fs/cgroup/a/memory.max":     "204800\n",
			"sys/fs/cgroup/a/memory.high":    "102400\n",
			"sys/fs/cgroup/a/memory.current": "1",
		}, 102400, "memory.high"},
		{"version 2, limit above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "4096\n",
		}, 4096, "cgroup/a/memory.max"},
		{"version 2, host's path in a container", map[string]string{
			"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/memory.max": "8192\n",
		}, 8192, "cgroup/memory.max"},
		{"version 1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:memory:/x\n0::/\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "512000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
		}, 512000, "memory.limit_in_bytes"},
		{"version 1, unlimited", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 1000 << 10, "MemAvailable"},
		{"limit above what is available", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "10000000\n",
		}, 1000 << 10, "MemAvailable"},
		{"nonsense", map[string]string{
			"proc/meminfo": "MemAvailable: many\n", "proc/self/cgroup": "0::\n::\n7\n", "sys/fs/cgroup/memory.max": "-4\n",
		}, math.MaxInt64, "no limit"},
	} {
		budget, from := memory.ReadLimits(system(c.files)).Budget()
		if budget != c.budget || !strings.Contains(from, c.from) {
			t.Errorf("%s: %d from %q, want %d from %q", c.name, budget, from, c.budget, c.from)
		}
	}
}

func TestUsage(t *testing.T) {
	const status = "Name:\tsiskin\nRssAnon:\t   10892 kB\nRssFile:\t  107304 kB\n"
	want := memory.Usage{Anonymous: 10892 << 10, File: 107304 << 10, Group: 5000, GroupMax: 6000, Refaults: 7}
	for name, files := range map[string]map[string]string{
		"version 1": {
			"proc/self/cgroup": "4:memory:/a\n",
			"sys/fs/cgroup/memory/a/memory.usage_in_bytes": "5000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "90000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "6000\n",
			"sys/fs/cgroup/memory/a/memory.stat":         "cache 1\nworkingset_refault_anon 3\nworkingset_refault_file 7\n",
		},
		"version 2": {
			"proc/self/cgroup":               "0::/a\n",
			"sys/fs/cgroup/a/memory.current": "5000\n", "sys/fs/cgroup/a/memory.max": "6000\n",
			"sys/fs/cgroup/a/memory.stat": "anon 1\nworkingset_refault_file 7\n",
		},
	} {
		files["proc/self/status"] = status
		if got := memory.ReadUsage(system(files)); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if got := memory.ReadUsage(system(nil)); got != (memory.Usage{}) {
		t.Errorf("no files: %+v", got)
	}
}

// This system is read as it is.
func TestThisSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: files of Linux")
	}
	root := os.DirFS("/")
	u, l := memory.ReadUsage(root), memory.ReadLimits(root)
	if u.Anonymous < 64<<10 || u.File < 64<<10 {
		t.Errorf("a running program has %v", u)
	}
	if budget, from := l.Budget(); budget < 1<<20 {
		t.Errorf("budget %d from %s", budget, from)
	}
	t.Logf("%v; %+v", u, l)
}
