package main

import (
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// The drop-in has the budget to the byte, and without one what the plan takes.
func TestPlanDropIn(t *testing.T) {
	model := goldentest.Model(t)
	code, out, stderr := cli(t, "", "plan", "--model", model, "--budget", "160MiB", "--systemd")
	if code != 0 || !strings.Contains(out, "\n[Service]\nMemoryMax=167772160\nMemoryHigh=166723584\nMemorySwapMax=0\n") {
		t.Errorf("%d, %q, %s", code, out, stderr)
	}
	code, out, stderr = cli(t, "", "plan", "--model", model, "--systemd")
	if code != 0 || !strings.Contains(out, "all that the model takes") || !strings.Contains(out, "\nMemoryMax=1") {
		t.Errorf("%d, %q, %s", code, out, stderr)
	}
	if code, _, stderr = cli(t, "", "plan", "--model", model, "--budget", "8MiB", "--systemd"); code != 1 || !strings.Contains(stderr, "smallest budget") {
		t.Errorf("%d, %s", code, stderr)
	}
}
