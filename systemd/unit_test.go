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

// mostExposed is what systemd-analyze security may find at most, of 10: the aim for a unit with a network.
const mostExposed = 1.5

// analyze is systemd-analyze; it needs no systemd that runs.
func analyze(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		goldentest.Missing(t, "systemd-analyze is missing: sudo apt install systemd")
	}
	return tool
}

// TestUnitVerifies: systemd finds nothing to complain about, once the program is there.
func TestUnitVerifies(t *testing.T) {
	tool, dir := analyze(t), t.TempDir()
	unit, err := os.ReadFile("siskin.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program is not installed here.
	placed := strings.ReplaceAll(string(unit), "/usr/bin/siskin", "/bin/true")
	path := filepath.Join(dir, "siskin.service")
	if err := os.WriteFile(path, []byte(placed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "siskin") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil && strings.Contains(string(out), "siskin") {
		t.Errorf("verify: %v", err)
	}
}

// TestUnitExposure holds the unit against its aim and prints what it reaches.
func TestUnitExposure(t *testing.T) {
	out, err := exec.Command(analyze(t), "security", "--offline=true", "--no-pager", "siskin.service").CombinedOutput()
	if err != nil {
		t.Fatalf("security: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for siskin.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure in\n%s", out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	t.Logf("exposure %.1f, at most %.1f", level, mostExposed)
	if err != nil || level > mostExposed {
		t.Errorf("exposure %s, want at most %.1f\n%s", m[1], mostExposed, out)
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
