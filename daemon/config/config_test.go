package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestExample keeps the example file complete and equal to the defaults.
func TestExample(t *testing.T) {
	got, err := Load("example.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Model.Path = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
	if !reflect.DeepEqual(got, want) {
		live, restart := Changes(want, got)
		t.Errorf("differs from the defaults in %v %v", live, restart)
	}
	data, err := os.ReadFile("example.toml")
	if err != nil {
		t.Fatal(err)
	}
	settings, bad := split(data)
	if bad != nil {
		t.Fatal(bad)
	}
	var have []string
	for _, s := range settings {
		if s.text != nil {
			have = append(have, strings.Join(s.path, "."))
		}
	}
	for _, key := range allKeys("", reflect.TypeFor[Config]()) {
		// device is shown in a comment: its default is the host's name. So is a task: there is none by default.
		if key != "device" && key != "tasks" && !slices.Contains(have, key) {
			t.Errorf("%s is missing", key)
		}
	}
}

// TestExampleTask keeps the task in the comments of the example complete and valid.
func TestExampleTask(t *testing.T) {
	data, err := os.ReadFile("example.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "\n# [tasks.")
	text, _, _ = strings.Cut("# [tasks."+text, "\n\n")
	c, err := Parse("x.toml", []byte(minimal+strings.ReplaceAll("\n"+text, "\n# ", "\n")))
	if err != nil {
		t.Fatal(err)
	}
	task := reflect.ValueOf(c.Tasks["weather"])
	for i := range task.NumField() {
		if task.Field(i).IsZero() {
			t.Errorf("tasks.weather.%s is missing", task.Type().Field(i).Tag.Get("toml"))
		}
	}
	next := c
	next.Tasks = nil
	if live, restart := Changes(c, next); !slices.Equal(live, []string{"tasks"}) || restart != nil {
		t.Errorf("changes %v, %v", live, restart)
	}
}

func allKeys(prefix string, t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("toml")
		if isSection(f.Type) {
			out = append(out, allKeys(key+".", f.Type)...)
		} else {
			out = append(out, key)
		}
	}
	return out
}

const minimal = "model.path = \"m.gguf\"\n"

func TestParse(t *testing.T) {
	c, err := Parse("x.toml", []byte(minimal+`
device = "Shed_1.a"
mqtt = { broker = "mqtts://b:8883", ca_file = "/ca.pem" }
[queue]
max_bytes = "2 MiB"
default_deadline = "1h30m"
max_deadline = "2h"
[generate]
system = """
Be brief.
"""
temperature = 0 # a whole number is a number
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Device, want.Model.Path = "Shed_1.a", "m.gguf"
	want.MQTT.Broker, want.MQTT.CAFile = "mqtts://b:8883", "/ca.pem"
	want.Queue.MaxBytes = 2 << 20
	want.Queue.DefaultDeadline.Duration, want.Queue.MaxDeadline.Duration = 90*time.Minute, 2*time.Hour
	want.Generate.System, want.Generate.Temperature = "Be brief.\n", 0
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      []string // each error, in order; each is a line
	}{
		{"empty", "", []string{"x.toml: model.path: is missing; it names the model, a GGUF file"}},
		{"not TOML", "a = 1\n[queue\n", []string{"x.toml:2: this is not TOML: "}},
		{"no value", minimal + "device = \n", []string{"x.toml:2: this is not TOML: "}},
		{"bytes", "\x00\xff", []string{"x.toml:1: this is not TOML: "}},
		{
			"all at once",
			minimal + "[queue]\nmax_requests = \"many\"\nmax_bytes = \"64kb\"\nmax_prompt = 3\nmax_deadline = \"1 hour\"\ndefault_deadline = 30\n" +
				"[model]\ncontext = 1.5\nthreads = -1\n[modell]\npath = \"\"\nmore = 1\n[log]\nlevel = \"loud\"\n",
			[]string{
				`x.toml:3: queue.max_requests: wrong kind of value; write a whole number, such as 4`,
				`x.toml:4: queue.max_bytes: "64kb" is not a size: write a whole number and a unit, such as "512B", "64KiB" or "4MiB"`,
				`x.toml:5: queue.max_prompt: unknown key; known here: max_requests, max_bytes, max_prompt_bytes, default_deadline, max_deadline`,
				`x.toml:6: queue.max_deadline: "1 hour" is not a duration: write a number and a unit, such as "30s", "5m" or "1h30m"`,
				`x.toml:7: queue.default_deadline: "30" is not a duration: write a number and a unit, such as "30s", "5m" or "1h30m"`,
				`x.toml:9: model.context: wrong kind of value; write a whole number, such as 4`,
				`x.toml:10: model.threads: -1 is not between 0 and 256`,
				`x.toml:11: modell: unknown key; known here: device, model, memory, mqtt, queue, journal, generate, session, metrics, tasks, homeassistant, hermes, sources, log, daemon`,
				`x.toml:15: log.level: "loud" is none of debug, info, warn, error`,
			},
		},
		{"twice", minimal + "[log]\nlevel = \"info\"\nlevel = \"warn\"\n", []string{"x.toml:4: log.level: is set twice, first in line 3"}},
		{"table twice", minimal + "[log]\n[log]\n", []string{"x.toml:3: "}},
		{"key and table", minimal + "log.level = \"info\"\n[log]\n", []string{"x.toml:3: "}},
		{"table for value", minimal + "[queue.max_bytes]\nx = 1\n", []string{"x.toml:2: queue.max_bytes: is not a table; write a size in quotes, such as \"64KiB\""}},
		{"below a value", minimal + "queue.max_bytes.x = 1\n", []string{"x.toml:2: queue.max_bytes.x: queue.max_bytes is a single value and has nothing below it"}},
		{"list of tables", minimal + "[[queue]]\n", []string{"x.toml:2: queue: is not a table; write a table: its name in single brackets on a line of its own"}},
		{"value for table", minimal + "queue = 3\n", []string{"x.toml:2: queue: "}},
		{"inline", minimal + "log = { level = \"info\", colour = 1 }\n", []string{"x.toml:2: log: colour: unknown field"}},
		{"bool", minimal + "mqtt.embedded.enabled = \"yes\"\n", []string{"x.toml:2: mqtt.embedded.enabled: wrong kind of value; write true or false"}},
		{"list", minimal + "mqtt.reply_prefixes = \"a\"\n", []string{`x.toml:2: mqtt.reply_prefixes: wrong kind of value; write a list of texts, such as ["a", "b"]`}},
		{"text", minimal + "device = 3\n", []string{"x.toml:2: device: wrong kind of value; write a text in quotes"}},
		{"number", minimal + "generate.top_p = \"x\"\n", []string{"x.toml:2: generate.top_p: wrong kind of value; write a number, such as 0.5"}},
		{"task key", minimal + "[tasks.a]\nsystem = \"x\"\nmood = 1\n", []string{"x.toml:4: tasks.a.mood: unknown key; known here: system, adapter, max_tokens, temperature, top_k, top_p, min_p, repeat_penalty, stop"}},
		{"task value", minimal + "tasks.a.top_k = \"x\"\n", []string{"x.toml:2: tasks.a.top_k: wrong kind of value; write a whole number, such as 4"}},
		{"task name", minimal + "[tasks.\"a b\"]\nsystem = \"x\"\n[tasks.none]\n", []string{"x.toml:2: tasks.a b: is no name of a task", "x.toml:4: tasks.none: is no name of a task"}},
		{"task of no table", minimal + "tasks = 3\n", []string{"x.toml:2: tasks: "}},
		{"list of tasks", minimal + "[[tasks]]\n", []string{"x.toml:2: tasks: is not a table; write a table: its name in single brackets on a line of its own"}},
		{"inline task", minimal + "tasks = { a = { mood = 1 } }\n", []string{"x.toml:2: tasks: mood: unknown field"}},
		{"inline name", minimal + "tasks = { \"a b\" = { system = \"x\" } }\n", []string{"x.toml: tasks.a b: is no name of a task"}},
		{"huge number", minimal + "model.context = 99999999999999999999\n", []string{"x.toml:2: model.context: wrong kind of value; write a whole number, such as 4"}},
		{"huge size", minimal + "queue.max_bytes = \"9223372036854775807KiB\"\n", []string{`x.toml:2: queue.max_bytes: "9223372036854775807KiB": is too large a size`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("x.toml", []byte(c.doc))
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("%d errors, want %d:\n%v", len(got), len(c.want), err)
			}
			for i, w := range c.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("got  %s\nwant %s", got[i], w)
				}
			}
			if p := (*Problem)(nil); !errors.As(err, &p) {
				t.Error("not a *Problem")
			}
		})
	}
}

// TestRanges sets each value out of its range, one at a time, and expects exactly its key.
func TestRanges(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"device", `""`},
		{"device", `"a/b"`},
		{"device", `"kühl"`},
		{"device", `"Pool-1"`},
		{"device", `"` + strings.Repeat("a", 65) + `"`},
		{"model.path", `"a\u0000b"`},
		{"model.context", "15"},
		{"model.parallel", "0"},
		{"model.parallel", "65"},
		{"model.prefill_batch", "0"},
		{"model.threads", "257"},
		{"model.kernels", `""`},
		{"model.speculate", `"on"`},
		{"mqtt.broker", `""`},
		{"mqtt.broker", `"localhost:1883"`},
		{"mqtt.broker", `"http://localhost:1883"`},
		{"mqtt.broker", `"tcp://me:secret@localhost:1883"`},
		{"mqtt.client_id", `"` + strings.Repeat("a", 129) + `"`},
		{"mqtt.password_file", `"/p"`},
		{"mqtt.keep_alive", `"0s"`},
		{"mqtt.keep_alive", `"19h"`},
		{"mqtt.reply_prefixes", `["a/+"]`},
		{"mqtt.reply_prefixes", `["$SYS"]`},
		{"mqtt.reply_prefixes", `[""]`},
		{"mqtt.embedded.listen", `"1883"`},
		{"mqtt.embedded.listen", `"127.0.0.1:mqtt"`},
		{"mqtt.embedded.listen", `"127.0.0.1:65536"`},
		{"queue.max_requests", "0"},
		{"queue.max_bytes", `"2GiB"`},
		{"queue.max_prompt_bytes", `"0B"`},
		{"queue.max_prompt_bytes", `"5MiB"`},
		{"queue.default_deadline", `"2h"`},
		{"queue.default_deadline", `"-1s"`},
		{"queue.max_deadline", `"169h"`},
		{"generate.max_tokens", "5000"},
		{"generate.max_tokens_limit", "1048577"},
		{"generate.temperature", "nan"},
		{"generate.temperature", "-0.1"},
		{"generate.top_k", "-1"},
		{"generate.top_p", "1.5"},
		{"generate.min_p", "inf"},
		{"generate.repeat_penalty", "0"},
		{"generate.repeat_last_n", "40000"},
		{"generate.seed", "-1"},
		{"tasks.a.system", `"` + strings.Repeat("a", 64<<10+1) + `"`},
		{"tasks.a.adapter", `"a\u0000b"`},
		{"tasks.a.max_tokens", "5000"},
		{"tasks.a.temperature", "nan"},
		{"tasks.a.top_k", "-1"},
		{"tasks.a.top_p", "1.5"},
		{"tasks.a.min_p", "-1"},
		{"tasks.a.repeat_penalty", "0"},
		{"tasks.a.stop", `[""]`},
		{"homeassistant.prefix", `"a/"`},
		{"hermes.intent", `"a b"`},
		{"sources.topics", `["#"]`},
		{"sources.max_age", `"0s"`},
		{"sources.max_bytes", `"1B"`},
		{"mqtt.group", `"pool-x"`},
		{"mqtt.lease", `"0s"`},
		{"hermes.deadline", `"0s"`},
		{"journal.max_size", `"32KiB"`},
		{"journal.max_size", `"900KiB"`},
		{"journal.write_rate", `"1B"`},
		{"journal.window", "15"},
		{"journal.window_age", `"1s"`},
		{"journal.max_tries", "0"},
		{"session.max_sessions", "-1"},
		{"session.idle_timeout", `"0s"`},
		{"log.format", `"xml"`},
		{"daemon.stop_timeout", `"2h"`},
	} {
		doc := c.key + " = " + c.value + "\n"
		if !strings.HasPrefix(c.key, "model.path") {
			doc = minimal + doc
		}
		_, err := Parse("x", []byte(doc))
		if err == nil {
			t.Errorf("%s = %s: no error", c.key, c.value)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.Contains(lines[0], ": "+c.key+": ") {
			t.Errorf("%s = %s: %v", c.key, c.value, err)
		}
	}
}

func TestTogether(t *testing.T) {
	for doc, want := range map[string]string{
		"mqtt.cert_file = \"c\"\nmqtt.broker = \"ssl://b:1\"":                     "x:2: mqtt.cert_file: needs mqtt.key_file",
		"mqtt.key_file = \"c\"\nmqtt.broker = \"ssl://b:1\"":                      "x:2: mqtt.key_file: needs mqtt.cert_file",
		"mqtt.embedded.cert_file = \"c\"":                                         "x:2: mqtt.embedded.cert_file: goes together with mqtt.embedded.key_file; one of them is missing",
		"mqtt.embedded.client_ca_file = \"c\"":                                    "x:2: mqtt.embedded.client_ca_file: needs mqtt.embedded.cert_file: certificates are shown in TLS only",
		"mqtt.ca_file = \"c\"":                                                    "x: mqtt.broker: certificates are set, but the scheme tcp:// sends everything in the clear; use ssl://",
		"queue.max_bytes = \"32KiB\"":                                             "x: queue.max_prompt_bytes: 64KiB is more than queue.max_bytes, 32KiB",
		"queue.max_deadline = \"1m\"":                                             "x: queue.default_deadline: 5m is not between 0s and 1m",
		"mqtt.username = \"u\"\nmqtt.password_file = \"p\"\nmodel.context = 1":    "x:4: model.context: 1 is not between 16 and 1048576",
		"mqtt.broker = \"ssl://b:1\"\nmqtt.ca_file = \"c\"\nmodel.parallel = 100": "x:4: model.parallel: 100 is not between 1 and 64",
	} {
		if _, err := Parse("x", []byte(minimal+doc)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", doc, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder: no error")
	}
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, []byte(strings.Repeat("# no\n", 1<<18)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("large file: %v", err)
	}
	// Even many problems are one readable error.
	bad := filepath.Join(dir, "bad.toml")
	var doc strings.Builder
	for i := range 20000 {
		doc.WriteString("key" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + " = 1\n")
	}
	if err := os.WriteFile(bad, []byte(doc.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(bad)
	if err == nil || strings.Count(err.Error(), "\n") != maxProblems || !strings.Contains(err.Error(), "more problems") {
		t.Errorf("many problems: %.300v", err)
	}
}

func TestDeviceFrom(t *testing.T) {
	for host, want := range map[string]string{
		"":                                 "siskin",
		"---":                              "siskin",
		"Kitchen":                          "kitchen",
		"pi.example.org":                   "pi",
		"pool-3":                           "host-pool-3",
		"küche":                            "k-che",
		"(none)":                           "none",
		strings.Repeat("a", 100):           strings.Repeat("a", 64),
		"ring-" + strings.Repeat("a", 100): "host-ring-" + strings.Repeat("a", 54),
	} {
		got := deviceFrom(host)
		if got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
		k := &checker{}
		if k.device(got); len(k.found) > 0 {
			t.Errorf("%q: %v", host, k.found[0])
		}
	}
}

func TestUnits(t *testing.T) {
	for _, text := range []string{"0B", "1B", "1023B", "1KiB", "1536B", "64KiB", "1MiB", "3GiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != text {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	if c, err := Parse("x", []byte(minimal+"queue.max_bytes = 131072\n")); err != nil || c.Queue.MaxBytes != 128*KiB {
		t.Errorf("plain number: %v, %v", c.Queue.MaxBytes, err)
	}
	for _, text := range []string{"", "B", "-1", "-1B", "1.5KiB", "1KB", "1kiB", "1iB", "0x1B", "99999999999GiB", "1 B B"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v, want an error", text, s)
		}
	}
	for _, text := range []string{"0s", "1ms", "30s", "5m", "1h", "1h30m", "1h0m1s", "90m"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s: written as %s, read as %v, %v", text, d, again, err)
		}
	}
	if got := (Duration{10 * time.Minute}).String(); got != "10m" {
		t.Errorf("10 minutes: %s", got)
	}
	if got := (Duration{10 * time.Hour}).String(); got != "10h" {
		t.Errorf("10 hours: %s", got)
	}
}

func TestChanges(t *testing.T) {
	a := Default()
	b := a
	if live, restart := Changes(a, b); live != nil || restart != nil {
		t.Errorf("equal: %v, %v", live, restart)
	}
	b.Log.Level, b.Log.Format = "debug", "json"
	b.Generate.Temperature, b.Queue.MaxBytes, b.Session.MaxSessions = 0.1, 5*MiB, 3
	b.Model.Path, b.MQTT.ReplyPrefixes, b.MQTT.Embedded.Enabled = "other", []string{"a"}, true
	live, restart := Changes(a, b)
	if want := []string{"model.path", "queue.max_bytes", "generate.temperature", "session.max_sessions", "log.level"}; !slices.Equal(live, want) {
		t.Errorf("live: %v, want %v", live, want)
	}
	if want := []string{"mqtt.reply_prefixes", "mqtt.embedded.enabled", "log.format"}; !slices.Equal(restart, want) {
		t.Errorf("restart: %v, want %v", restart, want)
	}
	got := a.Adopt(b)
	if l, _ := Changes(got, b); l != nil {
		t.Errorf("not adopted: %v", l)
	}
	if _, r := Changes(a, got); r != nil {
		t.Errorf("adopted although it needs a restart: %v", r)
	}
	if a.Log.Level != "info" {
		t.Error("Adopt changed its receiver")
	}
}

// FuzzParse checks that no text crashes the reader, that every error is made of problems, and that what is accepted is
// valid and survives being read again.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("example.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(minimal + "[log]\n[log]\n[[queue]]\nx = { a = [1, { b = 2 }] }\n\"mo\\u0064el\".context = 3\n")
	f.Add("mqtt = { embedded = { enabled = true } }\nlog.level.x = 1\n")
	f.Fuzz(func(t *testing.T, doc string) {
		c, err := Parse("f", []byte(doc))
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" || strings.Count(err.Error(), "f:") == 0 {
				t.Errorf("unhelpful error %q", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
	})
}
