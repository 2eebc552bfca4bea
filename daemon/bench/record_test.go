package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model/goldentest"
	"siskin/model/kernel"
)

// record.py keeps the results as they are, and draws a bar for each number that it knows by its key.
func TestRecord(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		goldentest.Missing(t, "%v", err)
	}
	script := filepath.Join(goldentest.Root(t), "daemon", "doc", "bench", "record.py")
	path := filepath.Join(t.TempDir(), "r.json")
	none := exec.CommandContext(t.Context(), python, script, path, "--command", "true")
	if out, err := none.CombinedOutput(); err == nil || !strings.Contains(string(out), "no results") {
		t.Errorf("without results: %v, %s", err, out)
	}

	plan := Plan{Prompts: []int{32, 128}, Depths: []int{0}, Batches: []int{2, 8}, Tokens: 4, Rows: 64, Runs: 2, Roof: true}
	results, err := run(t.Context(), t, plan, kernel.Generic())
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(results[0])
	if err != nil {
		t.Fatal(err)
	}
	peer := filepath.Join(t.TempDir(), "peer.lines")
	if err := os.WriteFile(peer, []byte(`{"model": "a.Q4_1.gguf", "kernels": "x<y", "prefill_ratio": 3.5, "decode_ratio": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), python, script, path, "--command", "siskin bench", "--peer", peer)
	c.Stdin = strings.NewReader(string(line) + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checkRecord(t, path)
	// Two shares, two prefills, one depth, two batches, two ratios; and the background.
	if bars := count(t, strings.TrimSuffix(path, ".json")+".svg", "rect"); bars != 9+1 {
		t.Errorf("%d bars, want 9 and the background", bars)
	}
}

func checkRecord(t *testing.T, path string) {
	t.Helper()
	var record struct {
		Date, Version, Command string
		Machine                map[string]any
		Results, Peer          []map[string]any
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &record); err != nil {
		t.Fatal(err)
	}
	if len(record.Date) != 10 || record.Command != "siskin bench" || record.Machine["cpu"] == "" ||
		len(record.Results) != 1 || record.Results[0]["kernels"] != "generic" || len(record.Peer) != 1 {
		t.Errorf("%s", data)
	}
}

// count counts the elements of that name in an XML file, which must be well formed.
func count(t *testing.T, path, element string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(xml.StartElement); ok && s.Name.Local == element {
			n++
		}
	}
}
