package store

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func newTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are part of the test
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// newHub redirects to cdn, as the real one does, with what it knows of the file.
func newHub(t *testing.T, cdn *server, header ...string) *server {
	t.Helper()
	return serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		// Another host name of the same machine, so that it is another server to the client.
		http.Redirect(w, r, strings.Replace(cdn.URL, "127.0.0.1", "localhost", 1)+"/cas/f00d?signed=1", http.StatusFound)
	})
}

func TestHub(t *testing.T) {
	data := modelFile(t, 300, 20)
	cdn := serve(t, data)
	// The content server's own ETag looks like a sum and is none.
	other := fmt.Sprintf("%q", strings.Repeat("ab", 32))
	cdn.script = []http.HandlerFunc{limited(cdn.whole(other), 100_000), cdn.whole(other)}
	hub := newHub(t, cdn, "X-Linked-Etag", `"`+sumOf(data)+`"`, "X-Linked-Size", fmt.Sprint(len(data)), "ETag", `"0123"`)
	opt := quick(t)
	opt.HubURL, opt.Token = hub.URL, "secret"
	mustPull(t, "hf:some-org/Some.Model_1/sub dir/m%.gguf", opt, data)
	if got := hub.requests[0].URL.EscapedPath(); got != "/some-org/Some.Model_1/resolve/main/sub%20dir/m%25.gguf" {
		t.Errorf("path %s", got)
	}
	if got := cdn.ranges(); !slices.Equal(got, []string{"", "bytes=100000-"}) {
		t.Errorf("ranges %q", got)
	}
	if got := hub.requests[0].Header.Get("Authorization"); got != "Bearer secret" {
		t.Errorf("authorization at the hub: %q", got)
	}
	for _, r := range cdn.requests {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent on to the content server")
		}
	}
	// Again: the hub's sum says that it is there.
	n := len(cdn.ranges())
	mustPull(t, "hf:some-org/Some.Model_1/sub dir/m%.gguf", opt, data)
	if got := len(cdn.ranges()); got > n+1 {
		t.Errorf("%d more requests of the content server", got-n)
	}
}

func TestHubDisagrees(t *testing.T) {
	data := modelFile(t, 100, 21)
	wrong := sumOf(data[1:])
	for _, c := range []struct {
		name   string
		header []string
		suffix string
		kind   error
		want   string
	}{
		{"other contents", []string{"X-Linked-Etag", `"` + wrong + `"`}, "", ErrSum, "instead of " + wrong},
		{"plain ETag with a sum", []string{"ETag", `"` + wrong + `"`}, "", ErrSum, "instead of " + wrong},
		{"other size", []string{"X-Linked-Size", "5"}, "", ErrLength, "has 5 bytes according to the hub"},
		{"other sum than wanted", []string{"X-Linked-Etag", `"` + sumOf(data) + `"`}, "#sha256=" + wrong, ErrSum, "according to the hub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := quick(t)
			opt.HubURL = newHub(t, serve(t, data), c.header...).URL
			refusePull(t, "hf:o/r/m.gguf"+c.suffix, opt, c.kind, c.want)
			if names := folder(t, opt.Dir); len(names) != 0 {
				t.Errorf("left %v", names)
			}
		})
	}
}

// TestForeignSumIsNotBelieved: only the hub may say what a file's sum is.
func TestForeignSumIsNotBelieved(t *testing.T) {
	data := modelFile(t, 20, 22)
	s := serve(t, data)
	s.script = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Linked-Etag", `"`+strings.Repeat("00", 32)+`"`)
		s.whole(`"`+strings.Repeat("11", 32)+`"`)(w, r)
	}}
	mustPull(t, s.URL+"/m.gguf", quick(t), data)
}

func TestRedirects(t *testing.T) {
	data := modelFile(t, 20, 23)
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
	}
	s := serve(t, data, to("/b.gguf"), to("/c.gguf"), nil)
	mustPull(t, s.URL+"/a.gguf", quick(t), data)
	s = serve(t, data, to("/again.gguf"))
	refusePull(t, s.URL+"/a.gguf", quick(t), ErrServer, "more than ten times")
	s = serve(t, data, to("http://192.0.2.1/m.gguf?key=secret"))
	refusePull(t, s.URL+"/a.gguf", quick(t), ErrSource, "http://192.0.2.1/m.gguf, which is not encrypted and was refused")
	s = serve(t, data, to("file:///etc/passwd"))
	refusePull(t, s.URL+"/a.gguf", quick(t), ErrSource, "was refused")
	// From https not back to http, not even on this machine.
	plainServer := serve(t, data)
	tls := newTLS(t, to(plainServer.URL+"/m.gguf"))
	opt := quick(t)
	opt.Transport = tls.Client().Transport
	refusePull(t, tls.URL+"/a.gguf", opt, ErrSource, "not encrypted")
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		source string
		kind   error
		want   string
	}{
		{"", ErrSource, "is empty"},
		{"hf:", ErrSource, "hf:OWNER/REPO/FILE.gguf"},
		{"hf:owner/model.gguf", ErrSource, "hf:OWNER/REPO/FILE.gguf"},
		{"hf:owner/../x.gguf", ErrSource, "the part \"..\""},
		{"hf:owner/repo/../../x.gguf", ErrSource, "the part \"..\""},
		{"hf:owner//x.gguf", ErrSource, "the part \"\""},
		{"hf:ow ner/repo/x.gguf", ErrSource, "the part \"ow ner\""},
		{"hf:owner/repo/x.safetensors", ErrName, "does not end in .gguf"},
		{"hf:owner/repo/.gguf", ErrName, "does not end in .gguf"},
		{"hf:owner/repo/.x.gguf", ErrName, "begins with"},
		{"hf:owner/repo/-x.gguf", ErrName, "begins with"},
		{"hf:owner/repo/a\\b.gguf", ErrName, `contains '\\'`},
		{"hf:owner/repo/a\nb.gguf", ErrName, "contains"},
		{"hf:owner/repo/a\x00b.gguf", ErrName, "contains"},
		{"hf:owner/repo/" + strings.Repeat("x", 250) + ".gguf", ErrName, "longer than 200"},
		{"hf:owner/repo/x.gguf#sha256=abc", ErrSource, "64 hexadecimal digits"},
		{"hf:owner/repo/x.gguf#sha256=" + strings.Repeat("xy", 32), ErrSource, "64 hexadecimal digits"},
		{"hf:owner/repo/x.gguf#md5=1", ErrSource, "not sha256=HEX"},
		{"http://example.com/x.gguf", ErrSource, "unencrypted http"},
		{"http://127.0.0.1.example.com/x.gguf", ErrSource, "unencrypted http"},
		{"HTTP://10.0.0.1/x.gguf", ErrSource, "unencrypted http"},
		{"ftp://example.com/x.gguf", ErrSource, "no address that can be fetched"},
		{"file:///tmp/x.gguf", ErrSource, "no address that can be fetched"},
		{"https://", ErrSource, "not a valid address"},
		{"https:///x.gguf", ErrSource, "not a valid address"},
		{"https://exa mple/x.gguf", ErrSource, "not a valid address"},
		{"https://example.com/", ErrName, "does not end in .gguf"},
		{"https://example.com/x.zip", ErrName, "does not end in .gguf"},
		{"https://example.com/a%5Cb.gguf", ErrName, "contains"},
		{"/no/such/file.gguf", ErrNotFound, "does not exist"},
		{"no-such-file", ErrName, "does not end in .gguf"},
	} {
		t.Run(c.source, func(t *testing.T) { refusePull(t, c.source, quick(t), c.kind, c.want) })
	}
	for _, name := range []string{"../x.gguf", "a/b.gguf", "..", "/abs.gguf", "x", "a:b.gguf", " \t.gguf"} {
		opt := quick(t)
		opt.Name = name
		if _, err := Pull(t.Context(), "hf:o/r/x.gguf", opt); err == nil || !strings.Contains(err.Error(), "file name") {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := Pull(t.Context(), "hf:o/r/x.gguf", Options{}); err == nil || !strings.Contains(err.Error(), "is not set") {
		t.Errorf("no folder: %v", err)
	}
	for _, hub := range []string{"::", "nonsense", "http://hub.example.com"} {
		opt := quick(t)
		opt.HubURL = hub
		refusePull(t, "hf:o/r/x.gguf", opt, ErrSource, "")
	}
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	opt := quick(t)
	opt.SHA256 = b
	refusePull(t, "hf:o/r/x.gguf#sha256="+a, opt, ErrSource, "another SHA-256 than the option")
}

func TestNamesFromAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:secret@example.com/a/..%2F..%2Fetc%2Fx.gguf?k=v#sha256=" + strings.Repeat("A", 64): "x.gguf",
		"hf:o/r/q4/Model-1.0.Q4_1.GGUF": "Model-1.0.Q4_1.GGUF",
		"/some/where/x.gguf":            "x.gguf",
		"http://[::1]:80/x.gguf":        "x.gguf",
		"http://localhost/ä.gguf":       "ä.gguf",
	} {
		src, err := parseSource(in, Options{HubURL: defaultHub})
		if err != nil || src.name != want {
			t.Errorf("%s: %q, %v", in, src.name, err)
		}
		if strings.Contains(src.text, "secret") || strings.Contains(src.text, "k=v") {
			t.Errorf("%s: secrets in %q", in, src.text)
		}
	}
}

// TestAddress: what is noted of an address tells queries apart without showing them.
func TestAddress(t *testing.T) {
	seen := make(map[string]string)
	for _, in := range []string{
		"https://h.example/m.gguf", "https://h.example/m.gguf?file=a&key=secret", "https://h.example/m.gguf?file=b&key=secret",
		"https://h.example/n.gguf", "https://i.example/m.gguf",
	} {
		src, err := parseSource(in, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := address(src.url)
		if other, dup := seen[got]; dup || strings.Contains(got, "secret") {
			t.Errorf("%s is noted as %s, like %q", in, got, other)
		}
		seen[got] = in
	}
	withUser, err := parseSource("https://u:secret@h.example/m.gguf", Options{})
	if err != nil || seen[address(withUser.url)] != "https://h.example/m.gguf" {
		t.Errorf("user and password: %s, %v", address(withUser.url), err)
	}
}
