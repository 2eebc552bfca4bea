package store

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPull(t *testing.T) {
	data := modelFile(t, 300, 1)
	s := serve(t, data)
	opt := quick(t)
	var last, total int64 = -1, 0
	opt.Progress = func(d, n int64) {
		if d < last || (n >= 0 && d > n) {
			t.Errorf("progress went from %d to %d of %d", last, d, n)
		}
		last, total = d, n
	}
	mustPull(t, s.URL+"/a/b/tiny.gguf?download=true", opt, data)
	if last != int64(len(data)) || total != last {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	// Again with the sum: nothing is fetched. Without: it may be another file.
	opt.Progress = nil
	mustPull(t, s.URL+"/other/tiny.gguf#sha256="+strings.ToUpper(sumOf(data)), opt, data)
	if n := len(s.ranges()); n != 1 {
		t.Errorf("%d requests", n)
	}
	if _, err := Pull(t.Context(), s.URL+"/tiny.gguf", opt); !errors.Is(err, ErrExists) {
		t.Errorf("second pull without a sum: %v", err)
	}
}

func TestPullTLS(t *testing.T) {
	data := modelFile(t, 20, 1)
	s := &server{data: data}
	s.Server = newTLS(t, s)
	opt := quick(t)
	refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "certificate that is not trusted")
	opt.Transport = s.Client().Transport
	mustPull(t, s.URL+"/m.gguf", opt, data)
}

// TestDrops: connections break again and again, and each next one goes on where the last stopped.
func TestDrops(t *testing.T) {
	data := modelFile(t, 500, 2)
	s := serve(t, data)
	h := s.whole(`"v1"`)
	s.script = []http.HandlerFunc{limited(h, 100_000), limited(h, 1), limited(h, 150_000), status(502), nil}
	opt := quick(t)
	told := notices(&opt)
	mustPull(t, s.URL+"/m.gguf", opt, data)
	if got := told.String(); strings.Count(got, "another try in") != 4 || !strings.Contains(got, "the server says 502 Bad Gateway") {
		t.Errorf("told %q", got)
	}
	want := []string{"", "bytes=100000-", "bytes=100001-", "bytes=250001-", "bytes=250001-"}
	if got := s.ranges(); !slices.Equal(got, want) {
		t.Errorf("ranges %q, want %q", got, want)
	}
	if got := s.requests[1].Header.Get("If-Range"); got != `"v1"` {
		t.Errorf("If-Range is %q", got)
	}
}

func TestDropsForEver(t *testing.T) {
	data := modelFile(t, 500, 2)
	s := serve(t, data)
	s.script = []http.HandlerFunc{limited(s.whole(`"v1"`), 1000)}
	opt := quick(t)
	opt.Tries = 4
	refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "could not be fetched in 4 tries, at last: the connection broke")
	if n := len(s.ranges()); n != 4 {
		t.Errorf("%d requests", n)
	}
	// What came is kept, and a good server completes it.
	s.script = nil
	mustPull(t, s.URL+"/m.gguf", opt, data)
	if got := s.ranges()[4]; got != "bytes=4000-" {
		t.Errorf("the next pull asked for %q", got)
	}
}

// TestStrangeRanges: the source changes or plays with ranges between two requests; the result is one whole file.
func TestStrangeRanges(t *testing.T) {
	a, b := modelFile(t, 200, 3), modelFile(t, 200, 4)
	longer := modelFile(t, 201, 5)
	first := limited(honest(a, `"a"`), 70_000)
	partial := func(data []byte, start int, contentRange, etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.Header().Set("ETag", etag)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[start:])
		}
	}
	all := func(data []byte) string { return fmt.Sprintf("bytes 70000-%d/%d", len(data)-1, len(data)) }
	ignoring := func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		honest(a, `"a"`)(w, r)
	}
	for _, c := range []struct {
		name   string
		script []http.HandlerFunc
		want   []byte
	}{
		{"range ignored", []http.HandlerFunc{first, ignoring}, a},
		{"ETag changed, If-Range obeyed", []http.HandlerFunc{first, honest(b, `"b"`)}, b},
		{"ETag changed, If-Range ignored", []http.HandlerFunc{first, partial(b, 70_000, all(b), `"b"`), honest(b, `"b"`)}, b},
		{"total changed", []http.HandlerFunc{first, partial(longer, 70_000, all(longer), `"a"`), honest(longer, `"a"`)}, longer},
		{"wrong start", []http.HandlerFunc{first, partial(a, 0, fmt.Sprintf("bytes 0-%d/%d", len(a)-1, len(a)), `"a"`), honest(a, `"a"`)}, a},
		{"no Content-Range", []http.HandlerFunc{first, partial(a, 70_000, "", `"a"`), honest(a, `"a"`)}, a},
		{"total unknown", []http.HandlerFunc{first, partial(a, 70_000, fmt.Sprintf("bytes 70000-%d/*", len(a)-1), `"a"`)}, a},
		{"range not satisfiable", []http.HandlerFunc{first, status(416), honest(a, `"a"`)}, a},
		{"no validator", []http.HandlerFunc{limited(honest(a, ""), 70_000), honest(b, "")}, b},
		{"weak validator", []http.HandlerFunc{limited(honest(a, `W/"a"`), 70_000), honest(a, `W/"a"`)}, a},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, a, c.script...)
			opt := quick(t)
			told := notices(&opt)
			mustPull(t, s.URL+"/m.gguf", opt, c.want)
			if anew := strings.Contains(told.String(), "begins anew"); anew == (c.name == "total unknown") {
				t.Errorf("told %q", told)
			}
		})
	}
	t.Run("changes for ever", func(t *testing.T) {
		n := 0
		s := serve(t, a, func(w http.ResponseWriter, r *http.Request) {
			n++
			limited(honest(a, fmt.Sprintf(`"%d"`, n)), 70_000)(w, r)
		})
		refusePull(t, s.URL+"/m.gguf", quick(t), ErrServer, "breaks off again and again")
	})
	t.Run("partial answer to a whole request", func(t *testing.T) {
		s := serve(t, a, partial(a, 70_000, all(a), `"a"`))
		refusePull(t, s.URL+"/m.gguf", quick(t), ErrServer, "was asked for whole")
	})
}

// TestLies: the announced length is wrong.
func TestLies(t *testing.T) {
	data := modelFile(t, 200, 6)
	announce := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(data[:min(n, len(data))])
		}
	}
	t.Run("too short", func(t *testing.T) {
		s := serve(t, data, announce(len(data)-64))
		refusePull(t, s.URL+"/m.gguf", quick(t), ErrNotModel, "reaches beyond the end of the file")
	})
	t.Run("too short, with a sum", func(t *testing.T) {
		s := serve(t, data, announce(len(data)-64))
		refusePull(t, s.URL+"/m.gguf#sha256="+sumOf(data), quick(t), ErrSum, "instead of "+sumOf(data))
	})
	t.Run("too long", func(t *testing.T) {
		s := serve(t, data, announce(len(data)+1000))
		opt := quick(t)
		opt.Tries = 3
		refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "3 tries")
	})
	t.Run("more than the range holds", func(t *testing.T) {
		s := serve(t, data)
		s.script = []http.HandlerFunc{limited(s.whole(`"v"`), 1000), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[1000:])
			w.(http.Flusher).Flush()
			_, _ = w.Write(make([]byte, 100_000))
		}}
		opt := quick(t)
		refusePull(t, s.URL+"/m.gguf", opt, ErrLength, "longer than the")
		if names := folder(t, opt.Dir); len(names) != 0 {
			t.Errorf("left %v", names)
		}
	})
	t.Run("no length at all", func(t *testing.T) {
		s := serve(t, data, func(w http.ResponseWriter, _ *http.Request) {
			for part := range slices.Chunk(data, 10_000) {
				_, _ = w.Write(part)
				w.(http.Flusher).Flush()
			}
		})
		opt := quick(t)
		var totals []int64
		opt.Progress = func(_, total int64) { totals = append(totals, total) }
		mustPull(t, s.URL+"/m.gguf", opt, data)
		if totals[0] != -1 || totals[len(totals)-1] != int64(len(data)) {
			t.Errorf("totals %v", totals)
		}
	})
}

func TestStatuses(t *testing.T) {
	data := modelFile(t, 20, 7)
	for _, c := range []struct {
		code int
		kind error
		want string
		n    int // requests
	}{
		{404, ErrNotFound, "is not there (the server says 404): check owner, repository and file name", 1},
		{410, ErrNotFound, "410", 1},
		{401, ErrForbidden, "wants an agreement", 1},
		{403, ErrForbidden, "403", 1},
		{400, ErrServer, "400 Bad Request", 1},
		{204, ErrServer, "204", 1},
		{304, ErrServer, "304", 1},
		{500, ErrServer, "in 3 tries, at last: the server says 500 Internal Server Error", 3},
		{503, ErrServer, "3 tries", 3},
		{429, ErrServer, "429 Too Many Requests", 3},
	} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			s := serve(t, data, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.code) })
			opt := quick(t)
			opt.Tries = 3
			refusePull(t, s.URL+"/m.gguf", opt, c.kind, c.want)
			if n := len(s.ranges()); n != c.n {
				t.Errorf("%d requests, want %d", n, c.n)
			}
			if names := folder(t, opt.Dir); len(names) != 0 {
				t.Errorf("left %v", names)
			}
		})
	}
	s := serve(t, data, status(500), status(408), status(503), nil)
	mustPull(t, s.URL+"/m.gguf", quick(t), data)
}

func TestRetryAfter(t *testing.T) {
	data := modelFile(t, 20, 7)
	s := serve(t, data, status(429, "Retry-After", "1"), nil)
	start := time.Now()
	mustPull(t, s.URL+"/m.gguf", quick(t), data)
	if d := time.Since(start); d < time.Second {
		t.Errorf("came back after %v, asked for 1 s", d)
	}
	for _, v := range []string{"3600", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		s = serve(t, data, status(503, "Retry-After", v))
		start = time.Now()
		refusePull(t, s.URL+"/m.gguf", quick(t), ErrServer, "the server wants a pause of")
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("gave up after %v", d)
		}
	}
	for v, want := range map[string]time.Duration{"": 0, "x": 0, "-5": 0, "99999999999": 0, "7": 7 * time.Second, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		if got := retryAfter(v); got != want {
			t.Errorf("Retry-After %q: %v, want %v", v, got, want)
		}
	}
}

func TestStall(t *testing.T) {
	data := modelFile(t, 200, 8)
	s := serve(t, data)
	h := s.whole(`"v1"`)
	s.script = []http.HandlerFunc{hang(h, 0), hang(h, 50_000), nil}
	opt := quick(t)
	opt.StallTimeout = 150 * time.Millisecond
	mustPull(t, s.URL+"/m.gguf", opt, data)
	if got := s.ranges(); !slices.Equal(got, []string{"", "", "bytes=50000-"}) {
		t.Errorf("ranges %q", got)
	}
	s = serve(t, data, hang(h, 0))
	opt = quick(t)
	opt.StallTimeout, opt.Tries = 50*time.Millisecond, 2
	refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "no answer within 50ms")
	s = serve(t, data, hang(h, 5000))
	refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "no data for 50ms")
}

func TestUnreachable(t *testing.T) {
	s := serve(t, nil)
	s.Close()
	opt := quick(t)
	opt.Tries = 2
	refusePull(t, s.URL+"/m.gguf", opt, ErrServer, "connection refused")
	// No look-up here: what the resolver of a test machine does with a wrong name, and how long it takes, is its own affair.
	p := &pull{src: source{text: "x"}}
	dns := &url.Error{Op: "Get", URL: "https://u:secret@x/", Err: &net.OpError{Op: "dial", Err: &net.DNSError{Name: "x.example", IsNotFound: true}}}
	if err := p.connectError(t.Context(), dns); !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), `host "x.example", which does not exist`) {
		t.Errorf("unknown host: %v", err)
	}
	var again *tryAgain
	passing := &url.Error{Op: "Get", URL: "https://u:secret@x/", Err: &net.DNSError{Name: "x.example", IsTemporary: true}}
	if err := p.connectError(t.Context(), passing); !errors.As(err, &again) || strings.Contains(err.Error(), "secret") {
		t.Errorf("resolver that is down for now: %v", err)
	}
}

func TestWrongContents(t *testing.T) {
	data := modelFile(t, 100, 11)
	for _, c := range []struct {
		name, want string
		body       []byte
		kind       error
	}{
		{"web page", "web page: check the address", []byte("<!DOCTYPE html><html><body>Sign in</body></html>"), ErrNotModel},
		{"LFS pointer", "Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"), ErrNotModel},
		{"empty", "is empty", nil, ErrNotModel},
		{"two bytes", "only 2 bytes", []byte("GG"), ErrNotModel},
		{"damaged", "unknown kind", append([]byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00k\xff\xff\xff\xff"), data...), ErrNotModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.body)
			opt := quick(t)
			refusePull(t, s.URL+"/m.gguf", opt, c.kind, c.want)
			if names := folder(t, opt.Dir); len(names) != 0 {
				t.Errorf("left %v", names)
			}
		})
	}
	t.Run("wrong sum", func(t *testing.T) {
		s := serve(t, data)
		opt := quick(t)
		opt.SHA256 = sumOf(data[1:])
		refusePull(t, s.URL+"/m.gguf", opt, ErrSum, "arrived with the SHA-256 "+sumOf(data))
		if names := folder(t, opt.Dir); len(names) != 0 {
			t.Errorf("left %v", names)
		}
	})
	t.Run("compressed", func(t *testing.T) {
		s := serve(t, data, status(200, "Content-Encoding", "gzip"))
		refusePull(t, s.URL+"/m.gguf", quick(t), ErrServer, `encoding "gzip"`)
	})
}

func TestNoSpace(t *testing.T) {
	data := modelFile(t, 100, 12)
	s := serve(t, data)
	opt := quick(t)
	opt.Margin = 1 << 60
	refusePull(t, s.URL+"/m.gguf", opt, ErrNoSpace, "must stay free: make room or use another folder")
	local := filepath.Join(t.TempDir(), "l.gguf")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	opt.Copy = true
	refusePull(t, local, opt, ErrNoSpace, "must stay free")
	if names := folder(t, opt.Dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
	// A server that claims more than any disk has.
	s = serve(t, data, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4611686018427387904")
		_, _ = w.Write(data)
	})
	refusePull(t, s.URL+"/m.gguf", quick(t), ErrNoSpace, "are needed")
}

// TestBusy: of two pulls of one name, the second is refused at once, and the first is not disturbed.
func TestBusy(t *testing.T) {
	data := modelFile(t, 100, 13)
	gate := make(chan struct{})
	s := serve(t, data)
	s.script = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		<-gate
		s.whole(`"v1"`)(w, r)
	}}
	opt := quick(t)
	first := make(chan error, 1)
	go func() {
		_, err := Pull(t.Context(), s.URL+"/m.gguf", opt)
		first <- err
	}()
	for len(s.ranges()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := Pull(t.Context(), s.URL+"/m.gguf", opt); !errors.Is(err, ErrBusy) {
		t.Errorf("second pull: %v", err)
	}
	close(gate)
	if err := <-first; err != nil {
		t.Errorf("first pull: %v", err)
	}
	checkFolder(t, opt.Dir, filepath.Join(opt.Dir, "m.gguf"), data)
}

// TestManyAtOnce: pulls of several names, each tried by several goroutines, give whole files only.
func TestManyAtOnce(t *testing.T) {
	data := modelFile(t, 100, 14)
	s := serve(t, data)
	opt := quick(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			src := fmt.Sprintf("%s/m%d.gguf#sha256=%s", s.URL, i%4, sumOf(data))
			_, err := Pull(t.Context(), src, opt)
			if err != nil && !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := List(opt.Dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v: %v", len(entries), err, folder(t, opt.Dir))
	}
	for _, e := range entries {
		if e.Size != int64(len(data)) || e.Info == nil || e.Info.SHA256 != sumOf(data) {
			t.Errorf("%+v", e)
		}
	}
}

func TestReplace(t *testing.T) {
	a, b := modelFile(t, 50, 15), modelFile(t, 60, 16)
	opt := quick(t)
	path := mustPull(t, serve(t, a).URL+"/m.gguf", opt, a)
	other := serve(t, b)
	if _, err := Pull(t.Context(), other.URL+"/m.gguf#sha256="+sumOf(b), opt); !errors.Is(err, ErrExists) || len(other.ranges()) != 0 {
		t.Errorf("pull over another file: %v, %d requests", err, len(other.ranges()))
	}
	checkFolder(t, opt.Dir, path, a)
	opt.Replace = true
	mustPull(t, other.URL+"/m.gguf", opt, b)
	opt.Replace, opt.Name = false, "second.gguf"
	if p, err := Pull(t.Context(), other.URL+"/m.gguf", opt); err != nil || filepath.Base(p) != "second.gguf" {
		t.Errorf("another name: %s, %v", p, err)
	}
}
