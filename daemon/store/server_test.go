package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/model/modeltest"
	"siskin/model/quant"
)

// modelFile is a valid model file of a bit more than kb KiB; other seeds give other files of the same size.
func modelFile(t testing.TB, kb int, seed uint64) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, kb<<10)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	var b bytes.Buffer
	err := modeltest.WriteGGUF(&b, []modeltest.KV{{Key: "general.architecture", Value: "llama"}},
		[]modeltest.TensorData{{Name: "w", Type: quant.I8, Dims: []int{1 << 10, kb}, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// server serves one file. Each request takes the next of script, the last one again and again; nil behaves well.
type server struct {
	*httptest.Server
	data   []byte
	script []http.HandlerFunc

	mu       sync.Mutex
	requests []*http.Request
}

func serve(t *testing.T, data []byte, script ...http.HandlerFunc) *server {
	t.Helper()
	s := &server{data: data, script: script}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i := len(s.requests)
	s.requests = append(s.requests, r.Clone(context.Background()))
	s.mu.Unlock()
	if n := len(s.script); n > 0 && s.script[min(i, n-1)] != nil {
		s.script[min(i, n-1)](w, r)
		return
	}
	s.whole(`"v1"`)(w, r)
}

// ranges tells the Range header of each request so far.
func (s *server) ranges() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.requests {
		out = append(out, r.Header.Get("Range"))
	}
	return out
}

// whole is an honest server with ranges, If-Range and the given ETag.
func (s *server) whole(etag string) http.HandlerFunc { return honest(s.data, etag) }

func honest(data []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// limited passes n bytes of h's body and then breaks the connection.
func limited(h http.HandlerFunc, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h(&breaker{w, n}, r) }
}

type breaker struct {
	http.ResponseWriter
	left int
}

func (b *breaker) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// hang passes n bytes of h's body and then waits for the client to leave.
func hang(h http.HandlerFunc, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if n > 0 {
			func() {
				defer func() { _ = recover() }() // of breaker
				h(&breaker{w, n}, r)
			}()
		}
		<-r.Context().Done()
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintln(w, "an explanation that nobody needs")
	}
}

// quick are options whose waits suit a test.
func quick(t testing.TB) Options {
	return Options{Dir: t.TempDir(), RetryWait: time.Millisecond, StallTimeout: 10 * time.Second, Margin: 1}
}

// mustPull pulls and checks what is promised of a success.
func mustPull(t *testing.T, source string, opt Options, want []byte) string {
	t.Helper()
	path, err := Pull(t.Context(), source, opt)
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	checkFolder(t, opt.Dir, path, want)
	return path
}

// checkFolder checks that the folder holds the file, its recorded sum, and nothing else.
func checkFolder(t *testing.T, dir, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes with sum %s, want %d with %s", len(got), sumOf(got), len(want), sumOf(want))
	}
	side, err := os.ReadFile(path + ".sha256")
	if err != nil || string(side) != sumOf(want)+"  "+filepath.Base(path)+"\n" {
		t.Errorf("recorded sum %q (%v)", side, err)
	}
	names := folder(t, dir)
	if want := []string{filepath.Base(path), filepath.Base(path) + ".sha256"}; !slices.Equal(names, want) {
		t.Errorf("folder holds %v, want %v", names, want)
	}
}

func folder(t *testing.T, dir string) []string {
	t.Helper()
	items, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range items {
		names = append(names, i.Name())
	}
	return names
}

// refusePull pulls, which must fail with an *Error of this kind that says want, and leave no model file behind.
func refusePull(t *testing.T, source string, opt Options, kind error, want string) {
	t.Helper()
	path, err := Pull(t.Context(), source, opt)
	var e *Error
	if path != "" || !errors.As(err, &e) || !errors.Is(err, kind) {
		t.Fatalf("path %q, error %v, want kind %v", path, err, kind)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
	for _, n := range folder(t, opt.Dir) {
		if strings.HasSuffix(n, ".gguf") {
			t.Errorf("%s is in the folder after a failure", n)
		}
	}
}
