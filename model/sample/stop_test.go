package sample

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStopper(t *testing.T) {
	for _, c := range []struct {
		name   string
		stops  []string
		pieces []string
		want   []string // what each Add returns; then Flush, if it did not stop
		stop   bool
	}{
		{"none", nil, []string{"a", "b"}, []string{"a", "b", ""}, false},
		{"empty is ignored", []string{""}, []string{"a"}, []string{"a", ""}, false},
		{"in one piece", []string{"END"}, []string{"tell END more"}, []string{"tell "}, true},
		{"over three", []string{"END"}, []string{"x E", "N", "D y"}, []string{"x ", "", ""}, true},
		{"false alarm", []string{"END"}, []string{"x E", "N", "d y"}, []string{"x ", "", "ENd y", ""}, false},
		{"withheld at the end", []string{"END"}, []string{"x EN"}, []string{"x ", "EN"}, false},
		{"restart inside itself", []string{"aab"}, []string{"aaa", "b"}, []string{"a", ""}, true},
		{"completed first wins", []string{"abc", "b"}, []string{"ab", "c"}, []string{"a"}, true},
		{"longest of those", []string{"b", "ab"}, []string{"xab"}, []string{"x"}, true},
		{"two begun", []string{"xyz", "yq"}, []string{"xy", "q"}, []string{"", "x"}, true},
		{"many bytes", []string{"été"}, []string{"l'ét", "oile"}, []string{"l'", "étoile", ""}, false},
		{"first bytes equal", []string{"é"}, []string{"ê", "è"}, []string{"ê", "è", ""}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStopper(c.stops)
			var got []string
			stopped := false
			for _, p := range c.pieces {
				var out string
				if out, stopped = s.Add(p); stopped {
					got = append(got, out)
					break
				}
				got = append(got, out)
			}
			if !stopped {
				got = append(got, s.Flush())
			}
			if stopped != c.stop || strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got %q, stopped %v; want %q, %v", got, stopped, c.want, c.stop)
			}
			if out, _ := s.Add("more"); out != "" && stopped {
				t.Errorf("after the end: %q", out)
			}
		})
	}
}

// cut is the definition: the stop string that is completed first, of several the longest.
func cut(text string, stops []string) (string, bool) {
	for end := 1; end <= len(text); end++ {
		longest := 0
		for _, s := range stops {
			if s != "" && strings.HasSuffix(text[:end], s) {
				longest = max(longest, len(s))
			}
		}
		if longest > 0 {
			return text[:end-longest], true
		}
	}
	return text, false
}

func checkStopper(t *testing.T, text string, stops []string, pieces []string) {
	t.Helper()
	s := NewStopper(stops)
	got, stopped := "", false
	for _, p := range pieces {
		out, st := s.Add(p)
		if !utf8.ValidString(out) {
			t.Fatalf("%q with %q: piece %q is not UTF-8", text, stops, out)
		}
		got += out
		if stopped = st; st {
			break
		}
	}
	got += s.Flush()
	want, wantStop := cut(text, stops)
	if got != want || stopped != wantStop {
		t.Fatalf("%q with %q in %q: got %q, %v; want %q, %v", text, stops, pieces, got, stopped, want, wantStop)
	}
}

func TestStopperAnyCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString([]string{"a", "b", "é", "ê"}[r.IntN(4)])
		}
		return b.String()
	}
	for range 20000 {
		text := word(r.IntN(16))
		stops := []string{word(1 + r.IntN(4)), word(r.IntN(5))}
		var pieces []string
		for rest := []rune(text); len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			pieces = append(pieces, string(rest[:n]))
			rest = rest[n:]
		}
		checkStopper(t, text, stops, pieces)
	}
}

func FuzzStopper(f *testing.F) {
	f.Add("tell END more", "END", "e", 3)
	f.Fuzz(func(t *testing.T, text, a, b string, at int) {
		if !utf8.ValidString(text) || !utf8.ValidString(a) || !utf8.ValidString(b) || len(text) > 1000 {
			t.Skip()
		}
		runes := []rune(text)
		at = max(0, min(at, len(runes)))
		checkStopper(t, text, []string{a, b}, []string{string(runes[:at]), string(runes[at:])})
	})
}
