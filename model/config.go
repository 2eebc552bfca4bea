package model

import (
	"errors"
	"fmt"

	"siskin/model/gguf"
)

// Config is the shape of a model, read from the metadata of its file. All counts are positive and bounded, so products
// of two of them never overflow.
type Config struct {
	Architecture string  // "llama"
	Name         string  // general.name, for people; may be empty
	Dim          int     // columns of the residual stream
	Layers       int     //
	Heads        int     // query heads
	KVHeads      int     // key-value heads; divides Heads
	HeadDim      int     // columns of one head
	FFN          int     // columns of the gated unit
	Vocab        int     // rows of the embedding
	Context      int     // positions that the model was trained for
	NormEpsilon  float32 // of the RMS norms
	RopeDim      int     // columns of a head that are rotated; even, at most HeadDim
	RopeBase     float64 // 10000 unless the file says otherwise
	RopeScale    float64 // linear scaling: positions are divided by it; 1 = none
}

// refinedWidth is the columns of the widest input that is quantised to two planes.
func (c *Config) refinedWidth() int { return max(c.Dim, c.Heads*c.HeadDim) }

// Bounds on the numbers of a file: a model outside them is not a small model but a damaged or hostile file. Layers and
// context are those of llama.cpp (LLAMA_MAX_LAYERS 512) and of the longest published contexts.
const (
	maxLayers  = 512
	maxHeads   = 1024
	maxDim     = 1 << 16
	maxFFN     = 1 << 18
	maxVocab   = 1 << 21
	maxContext = 1 << 24
)

// Errors of opening; test with errors.Is.
var (
	// ErrUnsupported is wrapped when the file is sound but asks for something that this program cannot do.
	ErrUnsupported = errors.New("unsupported model")
	// ErrBadModel is wrapped when the metadata or the tensors contradict themselves.
	ErrBadModel = errors.New("bad model file")
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

// number returns a float; absent takes fallback.
func (m *metadata) number(key string, fallback float64) float64 {
	if value, ok := m.Float(m.arch + "." + key); ok {
		return value
	}
	return fallback
}

// readConfig reads and checks the metadata of a file; all problems are reported at once.
func readConfig(f *gguf.File) (Config, error) {
	m := &metadata{Reader: f.Reader()}
	m.Need("general.architecture")
	m.arch, _ = m.Str("general.architecture")
	if err := m.Err(); err != nil {
		return Config{}, err
	}
	if m.arch != "llama" {
		return Config{}, fmt.Errorf("architecture %q: only \"llama\" is known: %w", m.arch, ErrUnsupported)
	}
	name, _ := m.Str("general.name")
	c := Config{
		Architecture: m.arch,
		Name:         name,
		Dim:          m.count("embedding_length", 0, maxDim),
		Layers:       m.count("block_count", 0, maxLayers),
		Heads:        m.count("attention.head_count", 0, maxHeads),
		FFN:          m.count("feed_forward_length", 0, maxFFN),
		Context:      m.count("context_length", 0, maxContext),
		NormEpsilon:  float32(m.number("attention.layer_norm_rms_epsilon", 0)),
		RopeBase:     m.number("rope.freq_base", 10000),
	}
	c.KVHeads = m.count("attention.head_count_kv", c.Heads, maxHeads)
	c.HeadDim = m.count("attention.key_length", c.Dim/c.Heads, maxDim)
	if width := m.count("attention.value_length", c.HeadDim, maxDim); width != c.HeadDim {
		m.fail(fmt.Errorf("%s.attention.value_length %d differs from key_length %d: %w", m.arch, width, c.HeadDim, ErrUnsupported))
	}
	c.RopeDim = m.count("rope.dimension_count", c.HeadDim, maxDim)
	c.RopeScale = m.ropeScale()
	if experts, ok := m.Uint(m.arch + ".expert_count"); ok && experts > 0 {
		m.fail(fmt.Errorf("%s.expert_count %d: mixtures of experts are not known: %w", m.arch, experts, ErrUnsupported))
	}
	if m.Err() == nil && len(m.errs) == 0 {
		m.checkShape(&c) // not before: the numbers would be stand-ins
	}
	return c, errors.Join(append(m.errs, m.Err())...)
}

// ropeScale reads the kinds of scaling that are a division of the position.
func (m *metadata) ropeScale() float64 {
	switch kind, _ := m.Str(m.arch + ".rope.scaling.type"); kind {
	case "", "none":
		return m.number("rope.scale_linear", 1) // the key of files from before rope.scaling
	case "linear":
		return m.number("rope.scaling.factor", 1)
	default:
		m.fail(fmt.Errorf("%s.rope.scaling.type %q: only \"linear\" is known: %w", m.arch, kind, ErrUnsupported))
		return 1
	}
}

func (m *metadata) checkShape(c *Config) {
	if c.Heads%c.KVHeads != 0 {
		m.fail(fmt.Errorf("%d query heads cannot share %d key-value heads: %w", c.Heads, c.KVHeads, ErrBadModel))
	}
	if c.RopeDim%2 != 0 || c.RopeDim > c.HeadDim {
		m.fail(fmt.Errorf("rope.dimension_count %d: want an even number up to the head's %d columns: %w", c.RopeDim, c.HeadDim, ErrBadModel))
	}
	// Written so that NaN fails too.
	if !(c.NormEpsilon > 0 && c.NormEpsilon < 1) {
		m.fail(fmt.Errorf("attention.layer_norm_rms_epsilon is %g, want a number between 0 and 1: %w", c.NormEpsilon, ErrBadModel))
	}
	if !(c.RopeBase > 1 && c.RopeBase < 1e12) || !(c.RopeScale > 0 && c.RopeScale < 1e6) {
		m.fail(fmt.Errorf("rope.freq_base %g, scaling factor %g: out of range: %w", c.RopeBase, c.RopeScale, ErrBadModel))
	}
}
