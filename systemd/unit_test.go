// Package systemd_test checks the units with systemd's own tools.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// units are what systemd-analyze security may find of each at most, of 10.
var units = map[string]float64{
	"siskin.service":           1.5,
	"siskin-inference.service": 0.3, // no network
	"siskin-messaging.service": 1.5,
	"siskin-hardware.service":  1.6, // devices
}

// analyze is systemd-analyze; it needs no systemd that runs.
func analyze(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		goldentest.Missing(t, "systemd-analyze is missing: sudo apt install systemd")
	}
	return tool
}

// TestUnitsVerify: systemd finds nothing to complain about, once the program is there; and every unit here is among those.
func TestUnitsVerify(t *testing.T) {
	tool, dir := analyze(t), t.TempDir()
	var paths []string
	for _, pattern := range []string{"*.service", "*.target"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if _, known := units[name]; !known && pattern == "*.service" {
				t.Errorf("%s has no limit", name)
			}
			unit, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			// The program is not installed here.
			placed := strings.ReplaceAll(string(unit), "/usr/bin/siskin", "/bin/true")
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(placed), 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
	}
	out, err := exec.Command(tool, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "siskin") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil && strings.Contains(string(out), "siskin") {
		t.Errorf("verify: %v", err)
	}
}

// TestUnitExposure holds the units against their aims and prints what they reach.
func TestUnitExposure(t *testing.T) {
	for name, most := range units {
		out, err := exec.Command(analyze(t), "security", "--offline=true", "--no-pager", name).CombinedOutput()
		if err != nil {
			t.Fatalf("security: %v\n%s", err, out)
		}
		m := regexp.MustCompile(`Overall exposure level for ` + regexp.QuoteMeta(name) + `: ([0-9.]+)`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("no exposure in\n%s", out)
		}
		level, err := strconv.ParseFloat(string(m[1]), 64)
		t.Logf("%s: exposure %.1f, at most %.1f", name, level, most)
		if err != nil || level > most {
			t.Errorf("%s: exposure %s, want at most %.1f\n%s", name, m[1], most, out)
		}
	}
}

// TestUnitSystemCalls: what the product asks the kernel for beside what Go does is within the filter.
func TestUnitSystemCalls(t *testing.T) {
	tool, allowed := analyze(t), map[string]bool{}
	for sets := []string{"@system-service"}; len(sets) > 0; {
		set := sets[0]
		sets = sets[1:]
		out, err := exec.Command(tool, "syscall-filter", "--no-pager", set).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", set, err, out)
		}
		for line := range strings.Lines(string(out)) {
			name := strings.TrimSpace(line)
			if !strings.HasPrefix(line, " ") || strings.HasPrefix(name, "#") || allowed[name] {
				continue
			}
			allowed[name] = true
			if strings.HasPrefix(name, "@") {
				sets = append(sets, name)
			}
		}
	}
	for _, call := range []string{
		"mmap", "madvise", "fadvise64", "futex", "fdatasync", "sendmsg", "recvmsg", "flock", "fallocate", "epoll_wait", "uname",
	} {
		if !allowed[call] {
			t.Errorf("%s is not allowed", call)
		}
	}
}
