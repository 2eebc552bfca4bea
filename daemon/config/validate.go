package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Validate returns a join of one *Problem for each value that is out of its range, or nil. It opens no file and asks no
// network.
func (c Config) Validate() error { return join(c.problems()) }

// checker collects problems.
type checker struct{ found []*Problem }

func (k *checker) add(key, format string, args ...any) {
	k.found = append(k.found, &Problem{Key: key, What: fmt.Sprintf(format, args...)})
}

// between checks a number; NaN is refused.
func between[T cmp.Ordered](k *checker, key string, v, low, high T) {
	if !(v >= low && v <= high) {
		k.add(key, "%v is not between %v and %v", v, low, high)
	}
}

// span checks a duration.
func (k *checker) span(key string, v Duration, low, high time.Duration) {
	if v.Duration < low || v.Duration > high {
		k.add(key, "%v is not between %v and %v", v, Duration{low}, Duration{high})
	}
}

// oneOf checks a word.
func (k *checker) oneOf(key, v string, words ...string) {
	if !slices.Contains(words, v) {
		k.add(key, "%q is none of %s", v, strings.Join(words, ", "))
	}
}

// text checks that v has at most n bytes and no control characters.
func (k *checker) text(key, v string, n int) {
	if len(v) > n {
		k.add(key, "has %d bytes, at most %d are allowed", len(v), n)
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		k.add(key, "%q holds a control character", v)
	}
}

func (c Config) problems() []*Problem {
	k := &checker{}
	k.device(c.Device)
	k.model(c.Model)
	if c.Memory.Budget != 0 {
		between(k, "memory.budget", c.Memory.Budget, Budget(MiB), Budget(1024*GiB))
	}
	between(k, "memory.min_context", c.Memory.MinContext, 16, 1<<20)
	k.mqtt(c.MQTT)
	if c.Metrics.Listen != "" {
		k.listen("metrics.listen", c.Metrics.Listen)
	}
	k.text("homeassistant.prefix", c.HomeAssistant.Prefix, 128)
	if p := c.HomeAssistant.Prefix; p == "" || strings.ContainsAny(p, "+#") || strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") {
		k.add("homeassistant.prefix", "%q is no topic; write it as in Home Assistant, without a slash at its ends", p)
	}
	between(k, "mqtt.access.per_minute", c.MQTT.Access.PerMinute, 0, 1_000_000)
	between(k, "mqtt.access.burst", c.MQTT.Access.Burst, 1, 100_000)
	for _, client := range c.MQTT.Access.Clients {
		if client == "" || strings.ContainsAny(client, "/+#") {
			k.add("mqtt.access.clients", "%q is no level of a topic: it may not be empty and have no / + #", client)
		}
	}
	if g := c.MQTT.Group; g != "" && (len(g) > maxDevice || reservedDevice(g) || strings.ContainsFunc(g, func(r rune) bool { return !deviceRune(r) })) {
		k.add("mqtt.group", "%q is no name of a group: 1 to %d letters, digits and - _ .", g, maxDevice)
	}
	k.span("mqtt.lease", c.MQTT.Lease, time.Second, time.Hour)
	for _, filter := range c.Sources.Topics {
		if filter == "" || len(filter) > 256 || strings.HasPrefix(filter, "$") || strings.HasPrefix(filter, "siskin/") || filter == "#" {
			k.add("sources.topics", "%q: name what sensors publish, such as \"zigbee2mqtt/#\"; all topics, and those of siskin, are none", filter)
		}
	}
	k.span("sources.max_age", c.Sources.MaxAge, time.Second, 168*time.Hour)
	between(k, "sources.max_bytes", c.Sources.MaxBytes, 64, 64*KiB)
	k.hermes(c.Hermes)
	k.queue(c.Queue)
	k.journal(c.Journal, c.Queue)
	k.generate(c.Generate)
	k.tasks(c.Tasks, c.Generate)
	between(k, "session.max_sessions", c.Session.MaxSessions, 0, 10000)
	k.span("session.idle_timeout", c.Session.IdleTimeout, time.Second, 8760*time.Hour)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	k.span("daemon.stop_timeout", c.Daemon.StopTimeout, 0, time.Hour)
	k.text("daemon.state", c.Daemon.State, 4096)
	const socketPath = 107 // bytes that sun_path holds, unix(7)
	k.text("daemon.socket", c.Daemon.Socket, socketPath)
	if !filepath.IsAbs(c.Daemon.Socket) {
		k.add("daemon.socket", "%q is not an absolute path", c.Daemon.Socket)
	}
	return k.found
}

func (k *checker) device(name string) {
	switch {
	case name == "":
		k.add("device", "is empty; leave the line out for the host's name")
	case len(name) > maxDevice:
		k.add("device", "has %d bytes, at most %d are allowed", len(name), maxDevice)
	case strings.ContainsFunc(name, func(r rune) bool { return !deviceRune(r) }):
		k.add("device", "%q: only a-z, A-Z, 0-9, - _ and . are allowed", name)
	case reservedDevice(name):
		k.add("device", "%q: names that start with pool- or ring- are shared by several devices", name)
	}
}

func (k *checker) model(m Model) {
	if m.Path == "" {
		k.add("model.path", "is missing; it names the model, a GGUF file")
	}
	k.text("model.path", m.Path, 4096)
	between(k, "model.context", m.Context, 16, 1<<20)
	between(k, "model.parallel", m.Parallel, 1, 64)
	between(k, "model.prefill_batch", m.PrefillBatch, 1, 4096)
	between(k, "model.threads", m.Threads, 0, 256)
	between(k, "model.decode_threads", m.DecodeThreads, 0, 256)
	between(k, "model.prefill_threads", m.PrefillThreads, 0, 256)
	if m.Kernels == "" {
		k.add("model.kernels", `is empty; write "auto" for the best of this machine`)
	}
	k.text("model.kernels", m.Kernels, 64)
	k.oneOf("model.kv", m.KV, "f16", "q8", "q4")
	k.oneOf("model.pack", m.Pack, "auto", "off")
	k.text("model.pack_dir", m.PackDir, 4096)
	k.text("model.adapters", m.Adapters, 4096)
	k.text("model.tokenizer_pre", m.TokenizerPre, 64)
	k.oneOf("model.speculate", m.Speculate, SpeculateAuto, SpeculateOff)
}

func (k *checker) mqtt(m MQTT) {
	k.broker(m)
	k.oneOf("mqtt.protocol", m.Protocol, "auto", "5", "3.1.1")
	k.text("mqtt.client_id", m.ClientID, 128)
	k.text("mqtt.username", m.Username, 1024)
	if m.PasswordFile != "" && m.Username == "" {
		k.add("mqtt.password_file", "needs mqtt.username")
	}
	k.text("mqtt.password_file", m.PasswordFile, 4096)
	k.text("mqtt.ca_file", m.CAFile, 4096)
	k.text("mqtt.cert_file", m.CertFile, 4096)
	k.text("mqtt.key_file", m.KeyFile, 4096)
	if m.CertFile != "" && m.KeyFile == "" {
		k.add("mqtt.cert_file", "needs mqtt.key_file")
	}
	if m.KeyFile != "" && m.CertFile == "" {
		k.add("mqtt.key_file", "needs mqtt.cert_file")
	}
	k.span("mqtt.keep_alive", m.KeepAlive, time.Second, 18*time.Hour)
	for _, p := range m.ReplyPrefixes {
		if p == "" || strings.ContainsAny(p, "+#\x00") || p[0] == '$' || len(p) > 256 {
			k.add("mqtt.reply_prefixes", "%s: a prefix has 1 to 256 bytes, no + and # and does not start with $", shorten([]byte(p)))
		}
	}
	k.listen("mqtt.embedded.listen", m.Embedded.Listen)
	e := m.Embedded
	for key, path := range map[string]string{"users_file": e.UsersFile, "acl_file": e.ACLFile, "cert_file": e.CertFile, "key_file": e.KeyFile, "client_ca_file": e.ClientCAFile} {
		k.text("mqtt.embedded."+key, path, 4096)
	}
	if (e.CertFile == "") != (e.KeyFile == "") {
		k.add("mqtt.embedded.cert_file", "goes together with mqtt.embedded.key_file; one of them is missing")
	}
	if e.ClientCAFile != "" && e.CertFile == "" {
		k.add("mqtt.embedded.client_ca_file", "needs mqtt.embedded.cert_file: certificates are shown in TLS only")
	}
}

// listen checks an address to listen on.
func (k *checker) listen(key, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		k.add(key, "%q is not host:port", address)
		return
	}
	if _, err := netip.ParseAddrPort(net.JoinHostPort("127.0.0.1", port)); err != nil {
		k.add(key, "%q is not a port between 0 and 65535", port)
	}
	k.text(key, host, 255)
}

// broker checks the addresses of the brokers and what depends on their schemes.
func (k *checker) broker(m MQTT) {
	secure := k.address("mqtt.broker", m.Broker)
	for _, other := range m.Fallbacks {
		if k.address("mqtt.fallbacks", other) {
			secure = true
		}
		if other == m.Broker {
			k.add("mqtt.fallbacks", "%q is mqtt.broker itself", other)
		}
	}
	scheme, _, _ := strings.Cut(m.Broker, "://")
	if !secure && scheme != m.Broker && (m.CAFile != "" || m.CertFile != "") {
		k.add("mqtt.broker", "certificates are set, but the scheme %s:// sends everything in the clear; use ssl://", scheme)
	}
}

// address checks one address, and reports whether it uses TLS.
func (k *checker) address(key, broker string) (secure bool) {
	u, err := url.Parse(broker)
	if err != nil || u.Scheme != "unix" && u.Hostname() == "" || u.Scheme == "unix" && (u.Host != "" || u.Path == "") {
		k.add(key, `%s is not an address such as "tcp://127.0.0.1:1883" or "ssl://broker.example:8883"`, shorten([]byte(broker)))
		return false
	}
	if u.User != nil {
		k.add(key, "holds a user name; set mqtt.username and mqtt.password_file instead")
	}
	k.oneOf(key, u.Scheme, "tcp", "mqtt", "ssl", "tls", "mqtts", "ws", "wss", "unix")
	return slices.Contains([]string{"ssl", "tls", "mqtts", "wss"}, u.Scheme)
}

func (k *checker) queue(q Queue) {
	between(k, "queue.max_requests", q.MaxRequests, 1, 100000)
	between(k, "queue.max_bytes", q.MaxBytes, KiB, GiB)
	between(k, "queue.max_prompt_bytes", q.MaxPromptBytes, 1, 16*MiB)
	if q.MaxPromptBytes > q.MaxBytes {
		k.add("queue.max_prompt_bytes", "%v is more than queue.max_bytes, %v", q.MaxPromptBytes, q.MaxBytes)
	}
	k.span("queue.max_deadline", q.MaxDeadline, time.Second, 168*time.Hour)
	k.span("queue.default_deadline", q.DefaultDeadline, 0, q.MaxDeadline.Duration)
}

func (k *checker) generate(g Generate) {
	between(k, "generate.max_tokens_limit", g.MaxTokensLimit, 1, 1<<20)
	between(k, "generate.max_tokens", g.MaxTokens, 1, g.MaxTokensLimit)
	if len(g.System) > int(MiB) {
		k.add("generate.system", "has %d bytes, at most %d are allowed", len(g.System), MiB)
	}
	between(k, "generate.temperature", g.Temperature, 0, 5)
	between(k, "generate.top_k", g.TopK, 0, 1000000)
	between(k, "generate.top_p", g.TopP, 0, 1)
	between(k, "generate.min_p", g.MinP, 0, 1)
	between(k, "generate.repeat_penalty", g.RepeatPenalty, 0.01, 100)
	between(k, "generate.repeat_last_n", g.RepeatLastN, 0, 32768)
	between(k, "generate.seed", g.Seed, 0, 1<<63-1)
}

func (k *checker) journal(j Journal, q Queue) {
	k.text("journal.dir", j.Dir, 4096)
	between(k, "journal.max_size", j.MaxSize, 64*KiB, 1024*MiB)
	// A prompt beyond the queue is a problem of its own.
	if most := 16 * min(q.MaxPromptBytes, q.MaxBytes); j.Enabled && j.MaxSize < most && q.MaxPromptBytes <= q.MaxBytes && j.MaxSize >= 64*KiB {
		k.add("journal.max_size", "%v is less than %v, 16 times queue.max_prompt_bytes: the longest request would not fit", j.MaxSize, most)
	}
	between(k, "journal.write_rate", j.WriteRate, KiB, 1024*MiB)
	between(k, "journal.window", j.Window, 16, 100_000)
	k.span("journal.window_age", j.WindowAge, time.Minute, 168*time.Hour)
	between(k, "journal.max_tries", j.MaxTries, 1, 100)
}

func (k *checker) hermes(h Hermes) {
	for _, site := range h.Sites {
		k.text("hermes.sites", site, 128)
	}
	bad := len(h.Intent) > 64 || strings.ContainsFunc(h.Intent, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r))
	})
	if bad {
		k.add("hermes.intent", "%q is no name of an intent: up to 64 letters, digits and - _ . :", h.Intent)
	}
	if h.Enabled && h.Intent == "" && !h.Fallback {
		k.add("hermes.enabled", "nothing would be answered; set hermes.intent, or hermes.fallback = true")
	}
	k.span("hermes.deadline", h.Deadline, time.Second, time.Hour)
}
