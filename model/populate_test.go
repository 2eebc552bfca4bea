package model

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model/mapfile"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// After Populate all weights are mapped, without a pass; it ends when it is told to, and when the model is closed.
func TestPopulate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, modeltest.Tiny{Seed: 1, Type: quant.F32, Layers: 40, Context: 64}.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	file := m.mappings[0]
	if err := file.Advise(mapfile.DontNeed, 0, file.Size()); err != nil {
		t.Fatal(err)
	}
	before, known := mapped(t, path)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	<-m.Populate(ended)
	<-m.Populate(t.Context())
	after, _ := mapped(t, path)
	if weights := m.WeightBytes(); known && (after < weights || before >= weights) {
		t.Errorf("%d of %d bytes are mapped, %d were before", after, weights, before)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	<-m.Populate(t.Context())
}

// mapped is how many bytes of a file this process has in its page tables (proc(5), smaps).
func mapped(t *testing.T, path string) (bytes int64, known bool) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Log("NOT TESTED: no smaps: ", err)
		return 0, false
	}
	defer f.Close()
	ours := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "/") {
			ours = strings.HasSuffix(line, path)
		}
		var kib int64
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kib); err == nil && ours {
			bytes += kib << 10
		}
	}
	return bytes, true
}
