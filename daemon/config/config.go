// Package config reads the daemon's configuration: one TOML file into one struct, with a default for everything but the
// model's path.
//
// The file is strict. A key that is not known, a value of the wrong type and a value out of its range are all errors, and
// all of them are reported at once, each with its line. The package reads no environment and gives no meaning to values:
// what a setting does is decided where it is used.
package config

import (
	"os"
	"strings"
	"time"
)

// Config is the whole configuration. Each field says its unit, its range and what its zero value means; the defaults are
// those of Default. Fields marked `reload:"live"` can change while the daemon runs; see Changes.
type Config struct {
	// Device names this machine in topics: 1 to 64 of a-z A-Z 0-9 - _ and ., not starting with pool- or ring-. It must be
	// unique on its broker. Default: the host's name, made to fit. Empty is refused.
	Device string `toml:"device"`

	Model    Model    `toml:"model"`
	Memory   Memory   `toml:"memory"`
	MQTT     MQTT     `toml:"mqtt"`
	Queue    Queue    `toml:"queue"`
	Journal  Journal  `toml:"journal"`
	Generate Generate `toml:"generate"`
	Session  Session  `toml:"session"`
	Metrics  Metrics  `toml:"metrics"`

	// Tasks by their names: 1 to 64 letters, digits, - and _, but not "none"; at most 64 of them.
	Tasks map[string]Task `toml:"tasks" reload:"live"`

	HomeAssistant HomeAssistant `toml:"homeassistant"`
	Hermes        Hermes        `toml:"hermes"`
	Sources       Sources       `toml:"sources"`

	Log    Log    `toml:"log"`
	Daemon Daemon `toml:"daemon"`
}

// Model says which model runs, and how.
type Model struct {
	// Path of a GGUF file, relative to the working directory. There is no default; empty is refused. People may choose another
	// model of its folder over MQTT, which then answers until this path changes.
	Path string `toml:"path" reload:"live"`
	// Context is the longest conversation, prompt and answer together, in tokens: 16 to 1048576. Memory grows with it.
	Context int `toml:"context"`
	// Parallel is how many answers grow at the same time: 1 to 64. Memory grows with it.
	Parallel int `toml:"parallel"`
	// PrefillBatch is how many rows of prompt go through the model at once: 1 to 4096.
	PrefillBatch int `toml:"prefill_batch"`
	// Threads is how many threads compute at most: 0 to 256. 0: one for each fast core.
	Threads int `toml:"threads"`
	// DecodeThreads and PrefillThreads are how many compute answers, and how many read prompts: 0 to 256, also more than
	// Threads. 0: as many as a measurement says, or Threads without one.
	DecodeThreads  int `toml:"decode_threads"`
	PrefillThreads int `toml:"prefill_threads"`
	// Tune measures once, for about 300 ms at the first start, how many threads are best, and remembers it in
	// Daemon.State.
	Tune bool `toml:"tune"`
	// Pin keeps the threads that compute on the fast cores, on machines that also have slow ones.
	Pin bool `toml:"pin"`
	// Kernels is the name of a kernel set such as "avx2" or "generic", or "auto" for the best that this machine has. Empty
	// is refused.
	Kernels string `toml:"kernels"`
	// KV is how keys and values are kept: "f16", 2 bytes a value, "q8", 1.1 bytes, or "q4", 0.6 bytes. Empty is refused.
	KV string `toml:"kv"`
	// Pack is "auto" or "off". auto: a model whose matrices this machine reads faster interleaved is packed while the daemon
	// runs, if there is room, and the packed file is used from the next start on. off: none is made or used. Empty is
	// refused.
	Pack string `toml:"pack"`
	// PackDir is the folder of packed files of models that lie where the daemon may not write; relative to the working
	// directory. Empty: these are not packed.
	PackDir string `toml:"pack_dir"`
	// TokenizerPre names the rule by which text is cut into words before it becomes tokens, such as "llama-bpe" or "qwen2",
	// for a model file that names none or one that is not known. Empty: what the file says.
	TokenizerPre string `toml:"tokenizer_pre"`
	// Adapters is the folder of adapters that requests may name. Empty: adapters, beside the model.
	Adapters string `toml:"adapters"`
	// Speculate is "auto": tokens of an answer are guessed from what was read and written before, and checked several in
	// one pass, where that is measured to be faster; or "off". Answers are the same. Empty is refused.
	Speculate string `toml:"speculate"`
}

// Memory bounds what the process takes, the pages of files that it reads included.
type Memory struct {
	// Budget in bytes, 1MiB to 1TiB, or "auto": the limit of the process's control group, else what the system has available
	// at the start. Where the rest of the configuration does not fit, it gives way, see model/budget.
	Budget Budget `toml:"budget"`
	// Strict refuses to start instead of giving way.
	Strict bool `toml:"strict"`
	// MinContext is the shortest context that giving way leaves, in tokens: 16 to 1048576. Longer than Model.Context: that.
	MinContext int `toml:"min_context"`
}

// MQTT says how the broker is reached.
type MQTT struct {
	// Broker is the address: scheme://host:port, the scheme one of tcp, mqtt (plain), ssl, tls, mqtts (TLS), or of a WebSocket,
	// ws://host:port/path or wss://…, or of a socket of this machine, unix:///path. It is
	// not used when the embedded broker is enabled. Empty is refused.
	Broker string `toml:"broker"`
	// Fallbacks are brokers to try, in this order, when one cannot be reached; user, password and certificates are those of all.
	Fallbacks []string `toml:"fallbacks"`
	// Protocol is the version of MQTT: "5", "3.1.1", or "auto": 5 where the broker speaks it.
	Protocol string `toml:"protocol"`
	// ClientID identifies the daemon to the broker, at most 128 bytes. Empty: "siskin-" and the device name.
	ClientID string `toml:"client_id"`
	// Username for the broker. Empty: none.
	Username string `toml:"username"`
	// PasswordFile holds the password on its first line. Empty: none. With systemd, point it at a credential.
	PasswordFile string `toml:"password_file"`
	// CAFile holds PEM certificates that the broker's certificate is checked against. Empty: those of the system.
	CAFile string `toml:"ca_file"`
	// CertFile and KeyFile identify the daemon to a broker that asks for a client certificate, both PEM. Both are empty
	// (none) or both are set.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// KeepAlive is the longest silence on the connection: 1s to 18h. 1.5 times it after a power cut, the broker publishes
	// the last will.
	KeepAlive Duration `toml:"keep_alive"`
	// ReplyPrefixes are the topics under which a request may ask for its answer with reply_to. Empty: none may.
	ReplyPrefixes []string `toml:"reply_prefixes"`

	// Group is the name of a group of devices that share the prompts on siskin/pool-<group>/prompt: 1 to 64 of a-z A-Z 0-9 - _ and . .
	// Empty: none.
	Group string `toml:"group"`
	// Lease is how long a prompt of the group belongs to the device that has accepted it: 1s to 1h.
	Lease Duration `toml:"lease"`

	Access   Access   `toml:"access"`
	Embedded Embedded `toml:"embedded"`
}

// Access says who may prompt. A broker does not tell who a sender is: named clients prompt on prompt/from/<client>, a topic that the
// broker must keep from others.
type Access struct {
	// Anonymous senders may prompt, on the topics without a name.
	Anonymous bool `toml:"anonymous"`
	// Clients that may prompt under their names. Empty: all.
	Clients []string `toml:"clients"`
	// PerMinute is how many prompts each client may send, and all anonymous senders together: 0 to 1000000. 0: any number. Burst is
	// how many of them at once: 1 to 100000.
	PerMinute int `toml:"per_minute"`
	Burst     int `toml:"burst"`
}

// Embedded is a broker inside the daemon, for a single machine.
type Embedded struct {
	// Enabled starts it, and connects the daemon to it.
	Enabled bool `toml:"enabled"`
	// Listen is its address, host:port with a numeric port. Other machines reach it only if the host is not a loopback
	// address. Empty is refused.
	Listen string `toml:"listen"`
	// Persistence keeps sessions, queued and retained messages over a restart, beside the journal; what came in the last seconds
	// before a crash is lost.
	Persistence bool `toml:"persistence"`
	// UsersFile names who may come in, with the lines of "siskin broker passwd". Empty: everybody on this machine.
	UsersFile string `toml:"users_file"`
	// ACLFile says who may use which topics, in mosquitto's form. Empty: everybody all.
	ACLFile string `toml:"acl_file"`
	// CertFile and KeyFile encrypt the connections, both PEM. Both are empty (none) or both are set.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// ClientCAFile asks clients for certificates that these have signed, PEM. Empty: they need none.
	ClientCAFile string `toml:"client_ca_file"`
}

// HomeAssistant shows the device in Home Assistant, by its MQTT discovery.
type HomeAssistant struct {
	// Enabled publishes the discovery, and each answer for it. The last answer is retained on the broker.
	Enabled bool `toml:"enabled"`
	// Prefix is Home Assistant's discovery prefix. Empty is refused.
	Prefix string `toml:"prefix"`
}

// Sources are sensors and switches whose states the model is told with each prompt.
type Sources struct {
	// Topics are filters of what they publish, in the forms of zigbee2mqtt, Tasmota, ESPHome, or a bare value. Empty: none.
	Topics []string `toml:"topics"`
	// MaxAge after which a source that is silent is forgotten: 1s to 168h.
	MaxAge Duration `toml:"max_age"`
	// MaxBytes of the text that a prompt gets: 64B to 64KiB.
	MaxBytes Size `toml:"max_bytes"`
}

// Hermes answers a voice assistant that speaks it, such as Rhasspy 2.
type Hermes struct {
	Enabled bool `toml:"enabled"`
	// Sites that are answered, by their siteId. Empty: all.
	Sites []string `toml:"sites"`
	// Intent is the name under which a query (hermes/nlu/query) is recognised as a question for the assistant: 1 to 64 letters,
	// digits and - _ . :. Empty: queries are left to another service.
	Intent string `toml:"intent"`
	// Fallback answers what no service has understood (hermes/dialogueManager/intentNotRecognized).
	Fallback bool `toml:"fallback"`
	// Deadline of a spoken question: 1s to 1h.
	Deadline Duration `toml:"deadline"`
}

// Metrics are for a Prometheus server. They hold no text of requests.
type Metrics struct {
	// Listen is the address where they are read, host:port with a numeric port. Empty: nowhere.
	Listen string `toml:"listen"`
}

// Queue bounds what waits. A request beyond a bound is answered with "overloaded" or "too_large", not kept.
type Queue struct {
	// MaxRequests waiting: 1 to 100000.
	MaxRequests int `toml:"max_requests" reload:"live"`
	// MaxBytes of all waiting requests: 1KiB to 1GiB, at least max_prompt_bytes.
	MaxBytes Size `toml:"max_bytes" reload:"live"`
	// MaxPromptBytes of one request's text: 1B to 16MiB.
	MaxPromptBytes Size `toml:"max_prompt_bytes" reload:"live"`
	// DefaultDeadline of a request that names none: up to max_deadline. 0s: it waits without limit.
	DefaultDeadline Duration `toml:"default_deadline" reload:"live"`
	// MaxDeadline that a request may ask for: 1s to 168h.
	MaxDeadline Duration `toml:"max_deadline" reload:"live"`
}

// Journal keeps accepted requests and their answers through crashes and power cuts.
type Journal struct {
	// Enabled keeps them; otherwise they are in memory only.
	Enabled bool `toml:"enabled"`
	// Dir is the folder, made if absent, with a folder in it for each device name. Empty: journal in the state folder of the service
	// manager or the user.
	Dir string `toml:"dir"`
	// MaxSize of the folder, about: 64KiB to 1GiB, at least 16 times queue.max_prompt_bytes. A quarter is for requests and answers
	// that are wanted still.
	MaxSize Size `toml:"max_size"`
	// WriteRate is how many bytes a second may be written for new requests on average, 1KiB to 1GiB, and 16 times as many at once.
	WriteRate Size `toml:"write_rate"`
	// Window is how many answers are remembered for requests that come again: 16 to 100000; WindowAge for how long: 1m to 168h.
	Window    int      `toml:"window"`
	WindowAge Duration `toml:"window_age"`
	// MaxTries is how often a request is tried again during which the process ended: 1 to 100.
	MaxTries int `toml:"max_tries"`
	// TrustClock says that the clock is right from the start, by a battery: deadlines are then kept over a restart of the machine
	// without waiting for a time server.
	TrustClock bool `toml:"trust_clock"`
}

// Generate holds what applies where a request says nothing. The meaning of the sampling values is that of model/sample.
type Generate struct {
	// MaxTokens of an answer: 1 to max_tokens_limit.
	MaxTokens int `toml:"max_tokens" reload:"live"`
	// MaxTokensLimit is the most a request may ask for: 1 to 1048576.
	MaxTokensLimit int `toml:"max_tokens_limit" reload:"live"`
	// System is the system message of conversations that bring none. Empty: what the model's template says.
	System string `toml:"system" reload:"live"`
	// Temperature: 0 to 5. 0: always the most probable token.
	Temperature float64 `toml:"temperature" reload:"live"`
	// TopK: 0 to 1000000. 0: off.
	TopK int `toml:"top_k" reload:"live"`
	// TopP: 0 to 1. 1: off.
	TopP float64 `toml:"top_p" reload:"live"`
	// MinP: 0 to 1. 0: off.
	MinP float64 `toml:"min_p" reload:"live"`
	// RepeatPenalty: 0.01 to 100. 1: off.
	RepeatPenalty float64 `toml:"repeat_penalty" reload:"live"`
	// RepeatLastN is how many tokens back the penalty looks: 0 to 32768. 0: off.
	RepeatLastN int `toml:"repeat_last_n" reload:"live"`
	// Seed of every answer, 0 to 2^63-1. 0: another one each time.
	Seed int64 `toml:"seed" reload:"live"`
}

// Session bounds the conversations that the daemon remembers.
type Session struct {
	// MaxSessions remembered at once: 0 to 10000; the one idle for the longest time makes room. 0: none.
	MaxSessions int `toml:"max_sessions" reload:"live"`
	// IdleTimeout after which one is forgotten: 1s to 8760h.
	IdleTimeout Duration `toml:"idle_timeout" reload:"live"`
}

// Log says what is written to standard error.
type Log struct {
	// Level is debug, info, warn or error. Empty is refused.
	Level string `toml:"level" reload:"live"`
	// Format is text or json. Empty is refused.
	Format string `toml:"format"`
}

// Daemon is about the process itself.
type Daemon struct {
	// StopTimeout is how long answers under way may take to finish after SIGTERM: 0s to 1h. 0s: they end at once.
	StopTimeout Duration `toml:"stop_timeout"`
	// State is the folder for what the daemon finds out and can find out again; made if absent. Empty: siskin in the
	// user's cache folder.
	State string `toml:"state"`
	// Socket is where the roles inference and messaging meet: an absolute path of a Unix socket. The role all does not use it.
	Socket string `toml:"socket"`
}

// ForInference is the configuration of the role inference, which has no network: its broker is behind Daemon.Socket. It names the settings that
// count no more.
func (c Config) ForInference() (_ Config, unused []string) {
	if c.Metrics.Listen != "" {
		c.Metrics.Listen, unused = "", append(unused, "metrics.listen")
	}
	m := &c.MQTT
	m.Broker, m.Fallbacks = "unix://"+c.Daemon.Socket, nil
	m.CAFile, m.CertFile, m.KeyFile = "", "", ""
	m.Embedded = Default().MQTT.Embedded
	return c, unused
}

// Default returns the configuration of an empty file. Only Model.Path is missing for it to be valid.
func Default() Config {
	host, err := os.Hostname()
	if err != nil {
		host = "" // then the name is fallbackDevice
	}
	return Config{
		Device: deviceFrom(host),
		Model: Model{
			Context: 2048, Parallel: 4, PrefillBatch: 64, Tune: true, Pin: true,
			Kernels: "auto", KV: "f16", Pack: "auto", Speculate: SpeculateAuto,
		},
		Memory: Memory{MinContext: 512},
		MQTT: MQTT{
			Broker:        "tcp://127.0.0.1:1883",
			Protocol:      "auto",
			KeepAlive:     Duration{30 * time.Second},
			Fallbacks:     []string{},
			ReplyPrefixes: []string{},
			Lease:         Duration{2 * time.Minute},
			Access:        Access{Anonymous: true, Clients: []string{}, Burst: 20},
			Embedded:      Embedded{Listen: "127.0.0.1:1883", Persistence: true},
		},
		Queue: Queue{
			MaxRequests:     128,
			MaxBytes:        4 * MiB,
			MaxPromptBytes:  64 * KiB,
			DefaultDeadline: Duration{5 * time.Minute},
			MaxDeadline:     Duration{time.Hour},
		},
		Journal: Journal{
			Enabled: true, MaxSize: 16 * MiB, WriteRate: MiB, Window: 512, WindowAge: Duration{24 * time.Hour}, MaxTries: 3,
		},
		Generate: Generate{
			MaxTokens:      512,
			MaxTokensLimit: 4096,
			Temperature:    0.8,
			TopK:           40,
			TopP:           0.95,
			MinP:           0.05,
			RepeatPenalty:  1,
			RepeatLastN:    64,
		},
		HomeAssistant: HomeAssistant{Prefix: "homeassistant"},
		Sources:       Sources{Topics: []string{}, MaxAge: Duration{24 * time.Hour}, MaxBytes: 2 * KiB},
		Hermes:        Hermes{Sites: []string{}, Fallback: true, Deadline: Duration{30 * time.Second}},
		Session:       Session{MaxSessions: 16, IdleTimeout: Duration{10 * time.Minute}},
		Log:           Log{Level: "info", Format: "text"},
		Daemon:        Daemon{StopTimeout: Duration{10 * time.Second}, Socket: "/run/siskin/broker.sock"},
	}
}

// Values of Model.Speculate.
const (
	SpeculateAuto = "auto"
	SpeculateOff  = "off"
)

// fallbackDevice is the device of a host without a usable name.
const fallbackDevice = "siskin"

// maxDevice is the longest device name in bytes.
const maxDevice = 64

// deviceFrom makes a device name of a host name: its first label, with what is not allowed replaced by "-".
func deviceFrom(host string) string {
	host, _, _ = strings.Cut(host, ".")
	name := strings.Map(func(r rune) rune {
		if deviceRune(r) {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	name = strings.Trim(name, "-")
	if reservedDevice(name) {
		name = "host-" + name
	}
	if len(name) > maxDevice {
		name = name[:maxDevice]
	}
	if name == "" {
		return fallbackDevice
	}
	return name
}

func deviceRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}

// reservedDevice tells names that several devices share.
func reservedDevice(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "pool-") || strings.HasPrefix(name, "ring-")
}
