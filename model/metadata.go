package model

import (
	"fmt"

	"siskin/model/gguf"
)

// metadata reads keys below the architecture's prefix and collects what is wrong with them.
type metadata struct {
	*gguf.Reader // collects keys of a wrong type
	arch         string
	errs         []error
}

func (m *metadata) fail(err error) { m.errs = append(m.errs, err) }

// count returns an integer in [1, limit]; absent takes fallback, or is an error where fallback is 0.
func (m *metadata) count(key string, fallback, limit int) int {
	key = m.arch + "." + key
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
	if value, ok := m.Uint(m.arch + "." + key); !ok || value == 0 {
		return 0
	}
	return m.count(key, 0, limit)
}

// counts returns one integer in [least, limit] for each of n layers, from a key that holds one for all or one for each;
// a longer array is cut. Absent takes fallback, or is an error where fallback is 0.
func (m *metadata) counts(key string, n, fallback, least, limit int) []int {
	key = m.arch + "." + key
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
	if value, ok := m.Float(m.arch + "." + key); ok {
		return value
	}
	return fallback
}

// flag returns a boolean; absent takes fallback.
func (m *metadata) flag(key string, fallback bool) bool {
	if value, ok := m.Bool(m.arch + "." + key); ok {
		return value
	}
	return fallback
}

// refuse fails if a number that changes the computation is there and not what is computed.
func (m *metadata) refuse(key string, computed float64) {
	if value, ok := m.Float(m.arch + "." + key); ok && value != computed {
		m.fail(fmt.Errorf("%s.%s is %g: only %g is known: %w", m.arch, key, value, computed, ErrUnsupported))
	}
}

// epsilon reads the epsilon of the norms, of RMS norms or of layer norms.
func (m *metadata) epsilon() float32 {
	if value, ok := m.Float(m.arch + ".attention.layer_norm_epsilon"); ok {
		return float32(value)
	}
	return float32(m.number("attention.layer_norm_rms_epsilon", 0))
}

// windows gives the layers a sliding window: those that the file's pattern names, or, without one, all but the last of
// every period layers; a period of 0 is all layers. Absent windows are none.
func (m *metadata) windows(c *Config, period int) {
	window := m.optional("attention.sliding_window", maxContext)
	if window == 0 {
		return
	}
	key := m.arch + ".attention.sliding_window_pattern"
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
