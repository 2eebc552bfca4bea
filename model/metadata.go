package model

import (
	"fmt"

	"siskin/model/gguf"
)

// metadata reads keys below the architecture's prefix and collects what is wrong with them.
type metadata struct {
	*gguf.Reader // collects keys of a wrong type
	arch         string
	used         map[string]bool // keys that were read, without the prefix
	errs         []error
}

// use marks a key as read and returns its full name.
func (m *metadata) use(key string) string {
	m.used[key] = true
	return m.arch + "." + key
}

func (m *metadata) fail(err error) { m.errs = append(m.errs, err) }

// count returns an integer in [1, limit]; absent takes fallback, or is an error where fallback is 0.
func (m *metadata) count(key string, fallback, limit int) int {
	key = m.use(key)
	value, ok := m.Uint(key)
	switch {
	case !ok && fallback == 0:
		m.Need(key)
	case !ok:
		return fallback
	case value < 1 || value > uint64(limit):
		m.fail(fmt.Errorf("%s is %d, want 1 to %d: %w", key, value, limit, ErrBadModel))
	default:
		return int(value)
	}
	return 1 // a harmless value: the collected errors are returned before it is used
}

// optional is count for a key whose absence means 0, as 0 does.
func (m *metadata) optional(key string, limit int) int {
	if value, ok := m.Uint(m.use(key)); !ok || value == 0 {
		return 0
	}
	return m.count(key, 0, limit)
}

// counts returns one integer in [least, limit] for each of n layers, from a key that holds one for all or one for each;
// a longer array is cut. Absent takes fallback, or is an error where fallback is 0.
func (m *metadata) counts(key string, n, fallback, least, limit int) []int {
	key = m.use(key)
	out := make([]int, n)
	for i := range out {
		out[i] = max(1, fallback)
		if fallback < 0 {
			out[i] = fallback
		}
	}
	values, ok := m.IntsOrInt(key)
	if !ok {
		if fallback == 0 {
			m.Need(key)
		}
		return out
	}
	if values.Len() != 1 && values.Len() < n {
		m.fail(fmt.Errorf("%s has %d numbers for %d layers: %w", key, values.Len(), n, ErrBadModel))
		return out
	}
	if values.Len() == 1 && least == 0 {
		least = 1 // nothing in all layers is no model
	}
	for i := range out {
		value := values.At(min(i, values.Len()-1))
		if value < int64(least) || value > int64(limit) {
			m.fail(fmt.Errorf("%s is %d, want %d to %d: %w", key, value, least, limit, ErrBadModel))
			return out
		}
		out[i] = int(value)
	}
	return out
}

// number returns a float; absent takes fallback.
func (m *metadata) number(key string, fallback float64) float64 {
	if value, ok := m.Float(m.use(key)); ok {
		return value
	}
	return fallback
}

// flag returns a boolean; absent takes fallback.
func (m *metadata) flag(key string, fallback bool) bool {
	if value, ok := m.Bool(m.use(key)); ok {
		return value
	}
	return fallback
}

// positive is number for a factor that must be more than 0; absent is an error where fallback is 0.
func (m *metadata) positive(key string, fallback float64) float64 {
	value, ok := m.Float(m.use(key))
	switch {
	case !ok && fallback == 0:
		m.Need(m.arch + "." + key)
	case !ok:
		return fallback
	case !(value > 0):
		m.fail(fmt.Errorf("%s.%s is %g, want more than 0: %w", m.arch, key, value, ErrBadModel))
	default:
		return value
	}
	return 1
}

// refuse fails if a number that changes the computation is there and not what is computed.
func (m *metadata) refuse(key string, computed float64) {
	if value, ok := m.Float(m.use(key)); ok && value != computed {
		m.fail(fmt.Errorf("%s.%s is %g: only %g is known: %w", m.arch, key, value, computed, ErrUnsupported))
	}
}

// epsilon reads the epsilon of the norms, of RMS norms or of layer norms.
func (m *metadata) epsilon() float32 {
	if value, ok := m.Float(m.use("attention.layer_norm_epsilon")); ok {
		return float32(value)
	}
	return float32(m.number("attention.layer_norm_rms_epsilon", 0))
}

// windows gives the layers a sliding window: those that the file's pattern names, or, without one, all but the last of
// every period layers; a period of 0 is all layers. Absent, the window is that of otherwise, or there is none.
func (m *metadata) windows(c *Config, period int, otherwise ...int) {
	window, key := m.optional("attention.sliding_window", maxContext), m.use("attention.sliding_window_pattern")
	if window == 0 && len(otherwise) > 0 {
		window = otherwise[0]
	}
	if window == 0 {
		return
	}
	pattern, isArray := m.File().Bools(key)
	if !isArray {
		if n, ok := m.Uint(key); ok {
			period = int(min(n, maxLayers))
		}
	} else if pattern.Len() < c.Layers {
		m.fail(fmt.Errorf("%s has %d values for %d layers: %w", key, pattern.Len(), c.Layers, ErrBadModel))
		return
	}
	for i := range c.PerLayer {
		if isArray && pattern.At(i) || !isArray && (period == 0 || i%period < period-1) {
			c.PerLayer[i].Window = window
		}
	}
}

// experts reads the shape of mixtures of experts; without experts it is zero.
func (m *metadata) experts(c *Config) {
	count := m.optional("expert_count", maxExperts)
	if count == 0 {
		return
	}
	c.Experts = ExpertConfig{
		Count:  count,
		Used:   m.count("expert_used_count", 0, count),
		FFN:    m.count("expert_feed_forward_length", c.PerLayer[0].FFN, maxFFN),
		Shared: m.optional("expert_shared_feed_forward_length", maxFFN),
		Norm:   m.flag("expert_weights_norm", false),
		Scale:  float32(m.number("expert_weights_scale", 1)),
	}
	if c.Experts.Scale == 0 {
		c.Experts.Scale = 1 // as the writers of old files meant it
	}
	if kind, ok := m.Uint(m.use("expert_gating_func")); ok && kind > 1 {
		m.fail(fmt.Errorf("%s.expert_gating_func %d: only 1, softmax, is known: %w", m.arch, kind, ErrUnsupported))
	}
}

// computing lists keys that change what is computed. One that the family has not read is an error unless it is zero, false
// or a window as long as the context: without it the answers would be fluent nonsense.
var computing = []string{
	"activation_sparsity_scale", "attention.causal", "attention.clamp_kqv", "attention.kv_lora_rank", "attention.max_alibi_bias",
	"attention.output_scale", "attention.q_lora_rank", "attention.scale", "attention.shared_kv_layers", "attention.sliding_window",
	"attention.sliding_window_pattern", "attention.temperature_scale", "attn_logit_softcapping", "embedding_length_per_layer_input",
	"embedding_scale", "expert_count", "expert_group_count", "expert_shared_count", "final_logit_softcapping", "logit_scale",
	"nextn_predict_layers", "residual_scale", "rope.dimension_sections", "rope.scaling.yarn_log_multiplier",
	"router_logit_softcapping", "ssm.state_size", "use_parallel_residual",
}

// unread refuses the keys of computing that nobody has read.
func (m *metadata) unread(c *Config) {
	f := m.File()
	for _, key := range computing {
		full := m.arch + "." + key
		if _, ok := f.KindOf(full); !ok || m.used[key] {
			continue
		}
		number, isNumber := f.Int(full)
		if key == "attention.sliding_window" && number >= int64(c.Context) {
			continue
		}
		float, isFloat := f.Float(full)
		flag, isFlag := f.Bool(full)
		if isNumber && number == 0 || isFloat && float == 0 || isFlag && flag == (key == "attention.causal") {
			continue
		}
		m.fail(fmt.Errorf("%s is not known in this architecture: %w", full, ErrUnsupported))
	}
}
