package store

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestInterrupted: a cancelled pull keeps what came, and the next one fetches only the rest.
func TestInterrupted(t *testing.T) {
	data := modelFile(t, 400, 9)
	s := serve(t, data)
	s.script = []http.HandlerFunc{hang(s.whole(`"v1"`), 123_456), nil}
	opt := quick(t)
	ctx, cancel := context.WithCancel(t.Context())
	cause := make(chan struct{})
	opt.Progress = func(done, _ int64) {
		if done > 0 {
			select {
			case <-cause:
			default:
				close(cause)
			}
		}
	}
	go func() {
		<-cause
		time.Sleep(100 * time.Millisecond) // let the rest of the first part arrive
		cancel()
	}()
	opt.Progress(1, 1) // the report is throttled, so do not depend on it
	_, err := Pull(ctx, s.URL+"/m.gguf", opt)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "are kept for the next time") {
		t.Fatalf("cancelled pull: %v", err)
	}
	if names := folder(t, opt.Dir); !slices.Equal(names, []string{"m.gguf.part", "m.gguf.part.json"}) {
		t.Fatalf("folder holds %v", names)
	}
	entries, err := List(opt.Dir)
	if err != nil || len(entries) != 1 || entries[0].Total != int64(len(data)) || entries[0].Size != 123_456 {
		t.Errorf("list: %+v, %v", entries, err)
	}
	opt.Progress = nil
	mustPull(t, s.URL+"/m.gguf", opt, data)
	if got := s.ranges(); !slices.Equal(got, []string{"", "bytes=123456-"}) {
		t.Errorf("ranges %q", got)
	}
}

// TestLeftovers: whatever a power cut leaves of the two side files, the next pull gives the right file.
func TestLeftovers(t *testing.T) {
	data := modelFile(t, 100, 10)
	note := func(url, etag string, size, synced int64) string {
		text, err := json.Marshal(origin{URL: url, ETag: etag, Size: size, Synced: synced})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	n := int64(len(data))
	zeros := func(good, bad int) []byte { return append(slices.Clone(data[:good]), make([]byte, bad)...) }
	for _, c := range []struct {
		name  string
		part  []byte
		note  func(url string) string
		first string // Range of the first request; "none": no request
	}{
		{"nothing synced", zeros(0, 50_000), nil, ""},
		{"zeros behind the synced part", zeros(40_000, 30_000), func(u string) string { return note(u, `"v1"`, n, 40_000) }, "bytes=40000-"},
		{"zeros behind, longer than the file", zeros(40_000, 300_000), func(u string) string { return note(u, `"v1"`, n, 40_000) }, "bytes=40000-"},
		{"shorter than noted", data[:1000], func(u string) string { return note(u, `"v1"`, n, 40_000) }, ""},
		{"note cut", data[:40_000], func(u string) string { return note(u, `"v1"`, n, 40_000)[:30] }, ""},
		{"note empty", data[:40_000], func(string) string { return "" }, ""},
		{"note of another address", data[:40_000], func(string) string { return note("https://other.example/m.gguf", `"v1"`, n, 40_000) }, ""},
		{"note of another query", data[:40_000], func(u string) string { return note(u+"?00", `"v1"`, n, 40_000) }, ""},
		{"negative", data[:40_000], func(u string) string { return note(u, `"v1"`, n, -1) }, ""},
		{"more synced than the file has", data, func(u string) string { return note(u, `"v1"`, 10, n) }, ""},
		{"note only", nil, func(u string) string { return note(u, `"v1"`, n, 40_000) }, ""},
		{"all there, not renamed", data, func(u string) string { return note(u, `"v1"`, n, n) }, "none"},
		{"other file at the source now", make([]byte, 40_000), func(u string) string { return note(u, `"v0"`, n, 40_000) }, "bytes=40000-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, data)
			opt := quick(t)
			part := filepath.Join(opt.Dir, "m.gguf.part")
			if err := os.WriteFile(part, c.part, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.note != nil {
				if err := os.WriteFile(part+".json", []byte(c.note(s.URL+"/m.gguf")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mustPull(t, s.URL+"/m.gguf", opt, data)
			got := "none"
			if r := s.ranges(); len(r) > 0 {
				got = r[0]
			}
			if got != c.first {
				t.Errorf("first request has the range %q, want %q", got, c.first)
			}
		})
	}
}
