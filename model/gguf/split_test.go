package gguf_test

import (
	"slices"
	"testing"

	"siskin/model/gguf"
)

// The names of parts come from that of any of them; others are left alone.
func TestPartPaths(t *testing.T) {
	for path, want := range map[string][]string{
		"/m/a-00002-of-00002.gguf":     {"/m/a-00001-of-00002.gguf", "/m/a-00002-of-00002.gguf"},
		"a-00001-of-00002.gguf":        {"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"},
		"/m/a-00003-of-00002.gguf":     nil,
		"/m/a-00000-of-00002.gguf":     nil,
		"/m/a-00001-of-00001.gguf":     nil,
		"/m/a-00001-of-99999.gguf":     nil,
		"/m/a-00001-of-00002.gguf.bak": nil,
		"/a-00001-of-00002.gguf/b":     nil,
		"/m/a-1-of-2.gguf":             nil,
		"/m/a.gguf":                    nil,
	} {
		if got := gguf.PartPaths(path); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
