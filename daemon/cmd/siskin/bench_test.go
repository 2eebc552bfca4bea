package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"siskin/model/kernel"
	"siskin/model/quant"
)

func TestBenchRefusesNonsense(t *testing.T) {
	model := tinyModel(t)
	best, err := kernel.Best()
	if best == nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, value string }{
		{"--prompts", "0"},
		{"--prompts", "32,32"},
		{"--depths", "-1"},
		{"--batches", "65"},
		{"--batches", "0"},
		{"--tokens", "3"},
		{"--rows", "0"},
		{"--rows", "4097"},
		{"--runs", "0"},
		{"--contend", "-1"},
		{"--contend", "257"},
		{"--threads", "-1"},
		{"--kernels", "abacus"},
		{"--kernels", best.Name + "," + best.Name},
		{"--kernels", best.Name + ",auto"},
	} {
		code, out, stderr := cli(t, "", "bench", "--model", model, c.flag+"="+c.value)
		if code != exitUsage || out != "" || !strings.Contains(stderr, c.flag) && !strings.Contains(stderr, "abacus") {
			t.Errorf("%s=%s: exit code %d, %q, %q", c.flag, c.value, code, out, stderr)
		}
	}
}

// benchKeys are what other programs read from the JSON.
var benchKeys = []string{
	"model", "kernels", "packed", "threads", "runs", "prefill_32_tok_s", "prefill_128_tok_s", "prefill_512_tok_s",
	"decode_tok_s", "decode_512_tok_s", "decode_2048_tok_s", "batch_1_tok_s", "batch_2_tok_s", "batch_3_tok_s",
	"batch_4_tok_s", "batch_5_tok_s", "batch_6_tok_s", "batch_7_tok_s", "batch_8_tok_s", "weight_bytes_per_token",
	"read_roof_gb_s", "decode_roof_share", "int8_peak_gmac_s", "prefill_peak_share", "contended_decode_tok_s",
	"contended_share", "prefill_32_tok_s_min", "decode_tok_s_min", "decode_tok_s_max", "batch_8_tok_s_max",
	"read_roof_gb_s_min", "int8_peak_gmac_s_max", "contended_decode_tok_s_min",
}

// Each kernel set gives one line, a flat object with all keys; what was not measured is null.
func TestBenchJSON(t *testing.T) {
	code, out, stderr := cli(t, "", "bench", "--model", tinyModel(t), "--quick", "--prompts", "40", "--batches", "2", "--tokens", "8", "--runs", "2",
		"--kernels", "auto,generic", "--json")
	if kernel.All()[0].Name == "generic" {
		t.Skip("SKIPPED: one kernel set only")
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 2 {
		t.Fatalf("exit code %d, %q, %s", code, out, stderr)
	}
	for i, line := range lines {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		for _, key := range benchKeys {
			if _, ok := r[key]; !ok {
				t.Errorf("line %d: no %s", i, key)
			}
		}
		for key, value := range r {
			switch value.(type) {
			case map[string]any, []any:
				t.Errorf("line %d: %s is not flat", i, key)
			}
		}
		for _, key := range []string{"prefill_40_tok_s", "decode_tok_s", "batch_2_tok_s"} {
			if v, ok := r[key].(float64); !ok || v <= 0 {
				t.Errorf("line %d: %s is %v", i, key, r[key])
			}
		}
		for _, key := range []string{"prefill_512_tok_s", "decode_512_tok_s", "read_roof_gb_s", "contended_share"} {
			if r[key] != nil {
				t.Errorf("line %d: %s was not measured, but is %v", i, key, r[key])
			}
		}
	}
	if !strings.Contains(lines[1], `"kernels":"generic"`) || !strings.Contains(stderr, "run 2 of 2: generic") {
		t.Errorf("%s\n%s", lines[1], stderr)
	}
}

// What is longer than the context of the model, 256 tokens, is left out with a word.
func TestBenchStaysWithinContext(t *testing.T) {
	code, out, stderr := cli(t, "", "bench", "--model", tinyModel(t), "--tokens", "4", "--runs", "1")
	for _, want := range []string{"prefill 512 is left out", "depth 2048 is left out"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %s", want, stderr)
		}
	}
	if code != 0 || !strings.Contains(out, "prefill 128") || strings.Contains(out, "decode 512") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// children lists the processes whose parent is pid (proc(5), stat: the fourth field, behind the name in brackets).
func children(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			id, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, id)
		}
	}
	return found
}

// gone waits until none of the processes runs.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		for limit := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("process %d still runs", pid)
			}
		}
	}
}

// The busy processes run, are as many as asked for, and end with bench: after its work, on a signal, and when it is killed.
func TestBenchContend(t *testing.T) {
	bin, model := program(t), tinyModel(t)
	for _, end := range []syscall.Signal{0, syscall.SIGINT, syscall.SIGKILL} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		args := []string{"bench", "--model", model, "--quick", "--prompts", "4", "--contend", "3", "--threads", "1", "--json"}
		if end == 0 {
			args = append(args, "--runs", "3", "--tokens", "64")
		} else {
			args = append(args, "--runs", "1000", "--tokens", "192")
		}
		c := exec.CommandContext(ctx, bin, args...)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var busy []int
		for ; len(busy) < 3 && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			busy = children(t, c.Process.Pid)
		}
		if len(busy) != 3 {
			t.Fatalf("%v: %d busy processes", end, len(busy))
		}
		if end != 0 {
			if err := c.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
		}
		lines := bufio.NewScanner(out)
		printed := lines.Scan()
		if err := c.Wait(); (err == nil) != (end == 0) {
			t.Errorf("%v: %v", end, err)
		}
		gone(t, busy)
		if end == 0 {
			var r struct {
				Share float64 `json:"contended_share"`
			}
			if err := json.Unmarshal(lines.Bytes(), &r); !printed || err != nil || r.Share <= 0 {
				t.Errorf("%v, %s", err, lines.Text())
			}
		}
		cancel()
	}
}

// A packed file is measured too: the one beside the model, or another one that is named; --plain leaves it out.
func TestBenchPacked(t *testing.T) {
	model := tinyModel(t)
	best, err := kernel.Best()
	if best == nil {
		t.Fatal(err)
	}
	if best.Packed(quant.Q8_0) == nil {
		t.Skipf("SKIPPED: the kernels %s do not pack", best.Name)
	}
	elsewhere := filepath.Join(t.TempDir(), "other.packed")
	for _, args := range [][]string{{}, {"--output", elsewhere}} {
		if code, out, stderr := cli(t, "", append([]string{"model", "pack", model}, args...)...); code != 0 {
			t.Fatalf("pack: exit code %d, %s%s", code, out, stderr)
		}
	}
	for _, c := range []struct {
		args   []string
		packed int
		warns  string
	}{
		{nil, 1, ""},
		{[]string{"--packed", elsewhere}, 1, ""},
		{[]string{"--packed", "/nowhere.packed"}, 0, "/nowhere.packed"},
		{[]string{"--plain"}, 0, ""},
	} {
		code, out, stderr := cli(t, "", append([]string{"bench", "--model", model, "--quick", "--tokens", "4", "--runs", "1", "--json"}, c.args...)...)
		if code != 0 || strings.Count(out, "\n") != 1+c.packed || strings.Count(out, `"packed":true`) != c.packed ||
			!strings.Contains(stderr, c.warns) {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, out, stderr)
		}
	}
}
