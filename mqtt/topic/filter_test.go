package topic

import (
	"errors"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		filter, name string
		want         bool
	}{
		// The examples of MQTT 3.1.1, sections 4.7.1 and 4.7.2.
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"#", "sport/a", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS/x", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		// More.
		{"a", "a", true},
		{"a", "A", false},
		{"a", "a/", false},
		{"a/", "a", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"a/+/#", "a", false},
		{"a/+/#", "a/b", true},
		{"+/#", "a", true},
		{"+/b/#", "a/b/c/d", true},
		{"sport", "sportx", false},
		{"a/$x", "a/$x", true},
		{"a/+", "a/$x", true},
	} {
		if got := Match(tt.filter, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.filter, tt.name, got)
		}
		if got := slowMatch(tt.filter, tt.name); got != tt.want {
			t.Errorf("slowMatch(%q, %q) = %v", tt.filter, tt.name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes)
	deep := strings.Repeat("/", MaxLevels-1)
	for _, s := range []string{"a", "/", "a//b", "a b", "é/ü", "\ufffd", "$SYS/x", long, deep} {
		if err := CheckName(s); err != nil {
			t.Errorf("name %.20q: %v", s, err)
		}
		if err := CheckFilter(s); err != nil {
			t.Errorf("filter %.20q: %v", s, err)
		}
	}
	for _, s := range []string{"", "a\x00b", "\n", "\x7f", "\u0085", "\xff", "a\xc3", "\ufdd0", "\U0001ffff", long + "x", deep + "/"} {
		if err := CheckName(s); !errors.Is(err, ErrName) {
			t.Errorf("name %.20q: error %v, want ErrName", s, err)
		}
		if err := CheckFilter(s); !errors.Is(err, ErrFilter) {
			t.Errorf("filter %.20q: error %v, want ErrFilter", s, err)
		}
	}
	for _, s := range []string{"#", "+", "+/+", "a/+/b", "a/#", "/#"} {
		if err := CheckFilter(s); err != nil {
			t.Errorf("filter %q: %v", s, err)
		}
		if err := CheckName(s); !errors.Is(err, ErrName) {
			t.Errorf("name %q: error %v, want ErrName", s, err)
		}
	}
	for _, s := range []string{"a#", "a+", "#/a", "a/#/b", "++", "+a/b", "##", "a/b#"} {
		if err := CheckFilter(s); !errors.Is(err, ErrFilter) {
			t.Errorf("filter %q: error %v, want ErrFilter", s, err)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		if !Match("siskin/+/prompt/#", "siskin/kitchen/prompt/text") {
			t.Error("no match")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// slowMatch is the text of section 4.7, level by level.
func slowMatch(filter, name string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	if strings.HasPrefix(name, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	return slowLevels(f, n)
}

func slowLevels(f, n []string) bool {
	switch {
	case len(f) == 1 && f[0] == "#":
		return true
	case len(f) == 0 || len(n) == 0:
		return len(f) == len(n)
	case f[0] == "+" || f[0] == n[0]:
		return slowLevels(f[1:], n[1:])
	}
	return false
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"a/+/#", "a/b"}, {"#", "$a"}, {"sport/#", "sport"}, {"+/", "a/"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		if CheckFilter(filter) != nil || CheckName(name) != nil {
			return
		}
		if got, want := Match(filter, name), slowMatch(filter, name); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", filter, name, got, want)
		}
		if CheckName(filter) == nil && Match(filter, name) != (filter == name) {
			t.Fatalf("the plain filter %q and the name %q", filter, name)
		}
	})
}
