package gguf_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"siskin/model/gguf"
	"siskin/model/modeltest"
)

// FuzzParse: no panic; what is accepted keeps every promise of Parse; memory is bounded by the size of the input.
func FuzzParse(f *testing.F) {
	f.Add(small(f))
	f.Add(write(f, []modeltest.KV{kv("general.architecture", "llama"), kv("as", []string{"a", "b"})}, nil))
	f.Add(le(f, magic, u32(3), u64(1<<40), u64(1)))
	f.Add(le(f, magic, u32(2), u64(1), u64(0), "w", u32(2), u64(1<<42+1), u64(1<<20), u32(3), u64(0)))
	// The heads of real vocabularies, with their strings, cut to a size that can be mutated.
	if dir := os.Getenv("SISKIN_GOLDEN"); dir != "" {
		files, err := filepath.Glob(filepath.Join(dir, "tokenizers", "*.gguf"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data[:min(len(data), 8192)])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := gguf.Parse(data)
		runtime.ReadMemStats(&after)
		// 40 bytes in memory per byte of file is far from what a count out of thin air would take.
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+40*uint64(len(data)) {
			t.Errorf("%d bytes of input took %d bytes of memory", len(data), n)
		}
		if err != nil {
			return
		}
		if err := checkInside(file, data); err != nil {
			t.Error(err)
		}
	})
}
