package topic

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDeviceNames(t *testing.T) {
	d, err := NewDevice("kitchen")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		got, want string
		kind      Kind
		id        string
	}{
		{d.Prompt(), "siskin/kitchen/prompt", KindPrompt, ""},
		{d.PromptText(), "siskin/kitchen/prompt/text", KindPromptText, ""},
		{d.Cancel(), "siskin/kitchen/cancel", KindCancel, ""},
		{d.Status(), "siskin/kitchen/status", KindStatus, ""},
		{d.AdapterSet(), "siskin/kitchen/adapter/set", KindAdapterSet, ""},
		{d.ModelSet(), "siskin/kitchen/model/set", KindModelSet, ""},
		{d.TaskSet(), "siskin/kitchen/task/set", KindTaskSet, ""},
		{d.PromptFrom("porch"), "siskin/kitchen/prompt/from/porch", KindPromptFrom, "porch"},
		{d.Accepted("a:1"), "siskin/kitchen/accepted/a:1", KindAccepted, "a:1"},
		{d.Delta("a:1"), "siskin/kitchen/delta/a:1", KindDelta, "a:1"},
		{d.Answer("a:1"), "siskin/kitchen/answer/a:1", KindAnswer, "a:1"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
		if err := CheckName(tt.got); err != nil {
			t.Error(err)
		}
		if device, kind, id := Parse(tt.got); device != "kitchen" || kind != tt.kind || id != tt.id {
			t.Errorf("%s: parsed as %q %v %q", tt.got, device, kind, id)
		}
	}
	inputs := []Kind{KindPrompt, KindPromptText, KindCancel, KindAdapterSet, KindModelSet, KindTaskSet}
	for _, in := range d.Inputs() {
		if _, kind, _ := Parse(in); !slices.Contains(inputs, kind) && in != d.PromptFrom("+") {
			t.Errorf("%s is an input of kind %v", in, kind)
		}
	}
}

func TestParseNone(t *testing.T) {
	for _, name := range []string{
		"", "siskin", "siskin/", "siskin/a", "siskin/a/", "siskin/a/prompt/", "siskin/a/prompt/text/x", "siskin/a/prompts",
		"siskin//prompt", "siskin/+/prompt", "siskin/pool-x/prompt", "Siskin/a/prompt", "/siskin/a/prompt", "x/a/prompt",
		"siskin/a/answer", "siskin/a/answer/", "siskin/a/answer/b/c", "siskin/a/answer/#", "siskin/a/none", "siskin/a/reply/b",
	} {
		if device, kind, id := Parse(name); kind != KindNone || device != "" || id != "" {
			t.Errorf("%q: parsed as %q %v %q", name, device, kind, id)
		}
	}
}

func TestCheckDevice(t *testing.T) {
	for _, ok := range []string{"a", "Kitchen_2.local-x", "pool", "ring", "apool-", strings.Repeat("x", 64)} {
		if err := CheckDevice(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "a/b", "+", "#", "a#", "$SYS", "a b", "a\x00", "é", "a\xff", "pool-", "pool-a", "POOL-a", "ring-1", "Ring-1", strings.Repeat("x", 65),
	} {
		if err := CheckDevice(bad); !errors.Is(err, ErrDevice) {
			t.Errorf("%q: error %v, want ErrDevice", bad, err)
		}
		if d, err := NewDevice(bad); err == nil || d != (Device{}) {
			t.Errorf("%q made the device %+v", bad, d)
		}
	}
}

func TestReplies(t *testing.T) {
	r, err := NewReplies([]string{"home/answers", "lab/", "siskin/kitchen", "a b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := range []string{
		"home/answers", "home/answers/x", "home/answers/", "home/answers/é/ü", "lab", "lab/x", "siskin/kitchen/reply", "siskin/kitchen/reply/x/y", "a b/c",
	} {
		if err := r.Check(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, tt := range []struct {
		name string
		want error
	}{
		{"", ErrName},
		{"home/answers/+", ErrName},
		{"home/answers/#", ErrName},
		{"home/answers/a\x00", ErrName},
		{"home/answers/a\n", ErrName},
		{"home/answers/\xff", ErrName},
		{"home/answers/\ufffe", ErrName},
		{"home", ErrReply},
		{"home/answers2", ErrReply},
		{"home/answer", ErrReply},
		{"/home/answers", ErrReply},
		{"Home/answers", ErrReply},
		{"labor", ErrReply},
		{"$SYS/x", ErrReply},
		{"$share/g/home/answers", ErrReply},
		{"siskin/kitchen", ErrReply},
		{"siskin/kitchen/prompt", ErrReply},
		{"siskin/kitchen/prompt/text", ErrReply},
		{"siskin/kitchen/status", ErrReply},
		{"siskin/kitchen/replyx", ErrReply},
		{"siskin/other/reply", ErrReply},
		{"siskin/pool-x/reply", ErrReply},
		{"siskin/kitchen/request/off", ErrReply},
		{"lab/" + strings.Repeat("x", 256), ErrReply},
		{"lab" + strings.Repeat("/", 32), ErrReply},
	} {
		if err := r.Check(tt.name); !errors.Is(err, tt.want) {
			t.Errorf("%q: error %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := (Replies{}).Check("home/answers"); !errors.Is(err, ErrReply) {
		t.Errorf("no prefix: error %v, want ErrReply", err)
	}
}

func TestNewRepliesNamesAllProblems(t *testing.T) {
	_, err := NewReplies([]string{"ok", "", "a/+", "$SYS", "#"})
	if err == nil || strings.Count(err.Error(), "reply prefix") != 4 {
		t.Errorf("want 4 problems, got: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"siskin/a/prompt", "siskin/a/answer/b", "siskin/a/prompt/text", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		device, kind, id := Parse(name)
		if kind == KindNone {
			return
		}
		d, err := NewDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		all := append(d.Inputs(), d.Status(), d.Accepted(id), d.Delta(id), d.Answer(id))
		if !slices.Contains(all, name) {
			t.Fatalf("%q parsed as %q %v %q, which builds no such name", name, device, kind, id)
		}
	})
}

func FuzzReplies(f *testing.F) {
	f.Add("home/answers", "home/answers/x")
	f.Add("siskin/a", "siskin/a/reply")
	f.Fuzz(func(t *testing.T, prefix, name string) {
		r, err := NewReplies([]string{prefix})
		if err != nil || r.Check(name) != nil {
			return
		}
		p := strings.TrimSuffix(prefix, "/")
		switch {
		case CheckName(name) != nil, name[0] == '$', len(name) > MaxReplyBytes:
			t.Fatalf("%q was allowed", name)
		case !Match(p+"/#", name):
			t.Fatalf("%q was allowed under %q", name, prefix)
		case strings.HasPrefix(name, "siskin/") && !Match("siskin/+/reply/#", name):
			t.Fatalf("%q was allowed", name)
		}
	})
}
