package model

import (
	"errors"
	"fmt"

	"siskin/model/gguf"
	"siskin/model/recurrent"
)

// Config is the shape of a model, read from the metadata of its file. All counts are positive and bounded, so products
// of two of them never overflow.
type Config struct {
	Architecture string  // "llama"; familyOf lists all
	Name         string  // general.name, for people; may be empty
	Dim          int     // columns of the residual stream
	Layers       int     //
	Heads        int     // query heads, of the layer that has most
	KVHeads      int     // key-value heads, of the layer that has most
	HeadDim      int     // columns of one head, of the layer with the widest
	FFN          int     // columns of the unit between the two products of a feed-forward block, of the widest
	Vocab        int     // rows of the embedding
	Context      int     // positions that the model was trained for
	NormEpsilon  float32 // of the norms

	EmbeddingScale float32 // embeddings are multiplied by it; 1 = none
	ResidualScale  float32 // what a block adds to the residual stream is multiplied by it; 1 = none
	LogitScale     float32 // logits are multiplied by it; 1 = none
	LogitCap       float32 // logits become cap*tanh(logits/cap); 0 = none
	ScoreScale     float64 // scores of attention are multiplied by it; 0 = 1/sqrt(HeadDim) of the layer
	ScoreCap       float32 // the same for scores as LogitCap for logits
	Temperature    Temperature
	LayerInput     int // columns of the input of a layer's Inject; 0 = none

	// Encoder: every position sees all others, so a sequence is one pass, and what comes of it are hidden states, not logits.
	Encoder bool
	Pooling Pooling // how hidden states become one embedding

	Ropes    []Rope        // the rotations that layers use
	PerLayer []LayerConfig // (Layers)
	Experts  ExpertConfig  // zero where no layer is a mixture of experts

	Recurrent recurrent.Shape // of the states of recurrent layers; zero where there are none

	keysAreValues bool // layers without a projection for values take the keys
	sharedFrom    int  // layers from this one on use keys and values of earlier ones; Layers if there are none
}

// LayerConfig is what may differ between the layers of a model.
type LayerConfig struct {
	Heads   int  // query heads
	KVHeads int  // key-value heads; divides Heads. 0: a layer without attention
	HeadDim int  // columns of one head
	FFN     int  // columns of the unit
	Window  int  // positions that attention looks back on, its own among them; 0: all
	Rope    int  // index in Config.Ropes; noRope: queries and keys are not rotated
	Cache   int  // layer of the KV cache with the keys and values
	Shared  bool // the keys and values are those that an earlier layer has stored
}

// noRope as LayerConfig.Rope: no positional encoding (NoPE, Kazemnejad et al. 2023, arXiv 2305.19466).
const noRope = -1

// ExpertConfig is the shape of mixtures of experts.
type ExpertConfig struct {
	Count  int     // experts of a layer
	Used   int     // that one token goes through
	FFN    int     // columns of the unit of one expert
	Shared int     // columns of the unit that every token goes through besides; 0 = none
	Norm   bool    // the weights of the chosen ones are made to sum to 1
	Scale  float32 // of those weights; 1 = none
}

// Temperature scales queries by their position: 1 + Scale*ln(1 + floor(position/Length)) (Llama 4 and Ministral 3,
// transformers 5.24, get_llama_4_attn_scale, read 2026-11-26). A Length of 0 is none.
type Temperature struct {
	Scale  float64
	Length int // positions
}

// refinedWidth is the columns of the widest input that is quantised to two planes.
func (c *Config) refinedWidth() int { return max(c.Dim, c.attentionWidth(), c.recurrentWidth()) }

// attentionWidth is the columns of all query heads of the layer where they are widest.
func (c *Config) attentionWidth() int {
	return c.most(func(l *LayerConfig) int { return l.Heads * l.HeadDim })
}

// kvWidth is the same for the key-value heads.
func (c *Config) kvWidth() int {
	return c.most(func(l *LayerConfig) int { return l.KVHeads * l.HeadDim })
}

// most returns the largest value of any layer.
func (c *Config) most(of func(*LayerConfig) int) int {
	var m int
	for i := range c.PerLayer {
		m = max(m, of(&c.PerLayer[i]))
	}
	return m
}

// Bounds on the numbers of a file: a model outside them is not a small model but a damaged or hostile file. Layers and
// context are those of llama.cpp (LLAMA_MAX_LAYERS 512) and of the longest published contexts.
const (
	maxLayers  = 512
	maxHeads   = 1024
	maxDim     = 1 << 16
	maxFFN     = 1 << 18
	maxVocab   = 1 << 21
	maxContext = 1 << 24
	maxExperts = 1024
)

// Errors of opening; test with errors.Is.
var (
	// ErrUnsupported is wrapped when the file is sound but asks for something that this program cannot do.
	ErrUnsupported = errors.New("unsupported model")
	// ErrBadModel is wrapped when the metadata or the tensors contradict themselves.
	ErrBadModel = errors.New("bad model file")
)

// readConfig reads and checks the metadata of a file; all problems are reported at once.
func readConfig(f *gguf.File) (Config, family, error) {
	m := &metadata{Reader: f.Reader(), used: make(map[string]bool)}
	m.Need("general.architecture")
	m.arch, _ = m.Str("general.architecture")
	if err := m.Err(); err != nil {
		return Config{}, family{}, err
	}
	fam, ok := familyOf(m.arch)
	if !ok {
		return Config{}, family{}, fmt.Errorf("architecture %q is not known: %w", m.arch, ErrUnsupported)
	}
	name, _ := m.Str("general.name")
	c := Config{
		Architecture:   m.arch,
		Name:           name,
		Dim:            m.count("embedding_length", 0, maxDim),
		Layers:         m.count("block_count", 0, maxLayers),
		Context:        m.count("context_length", 0, maxContext),
		EmbeddingScale: 1,
		ResidualScale:  1,
		LogitScale:     1,
	}
	c.NormEpsilon = m.epsilon()
	m.layers(&c)
	c.Pooling = m.pooling()
	c.sharedFrom = c.Layers
	c.Ropes = []Rope{m.rope(&c, fam.rope)}
	if fam.configure != nil {
		fam.configure(m, &c)
	}
	m.unread(&c)
	if m.Err() == nil && len(m.errs) == 0 {
		m.numberCache(&c)
		m.checkShape(&c) // not before: the numbers would be stand-ins
	}
	c.summarise()
	return c, fam, errors.Join(append(m.errs, m.Err())...)
}

// layers reads what every layer has, from keys that hold one number for all layers or one for each.
func (m *metadata) layers(c *Config) {
	c.PerLayer = make([]LayerConfig, c.Layers)
	heads := m.counts("attention.head_count", c.Layers, 0, 0, maxHeads)
	kv := m.counts("attention.head_count_kv", c.Layers, -1, 0, maxHeads)
	ffn := m.counts("feed_forward_length", c.Layers, 0, 1, maxFFN)
	most := 1
	for _, h := range heads {
		most = max(most, h)
	}
	headDim := m.count("attention.key_length", max(1, c.Dim/most), maxDim)
	m.sameLength("attention.value_length", headDim)
	for i := range c.PerLayer {
		l := &c.PerLayer[i]
		l.Heads, l.KVHeads, l.HeadDim, l.FFN = heads[i], kv[i], headDim, ffn[i]
		if l.KVHeads < 0 {
			l.KVHeads = l.Heads
		}
	}
}

// sameLength refuses values of another width than keys.
func (m *metadata) sameLength(key string, keys int) {
	if width := m.count(key, keys, maxDim); width != keys {
		m.fail(fmt.Errorf("%s.%s %d differs from that of keys, %d: %w", m.arch, key, width, keys, ErrUnsupported))
	}
}

// numberCache gives each layer that stores keys and values its place in the cache. Layers from sharedFrom on share the place
// of the last one before it that has the same window.
func (m *metadata) numberCache(c *Config) {
	next := 0
	for i := range c.PerLayer {
		l := &c.PerLayer[i]
		switch {
		case l.KVHeads == 0:
			continue
		case i < c.sharedFrom:
			l.Cache = next
			next++
			continue
		}
		for j := c.sharedFrom - 1; j >= 0 && !l.Shared; j-- {
			if from := &c.PerLayer[j]; from.Window == l.Window && from.KVHeads == l.KVHeads && from.HeadDim == l.HeadDim {
				l.Cache, l.Shared = from.Cache, true
			}
		}
		if !l.Shared {
			m.fail(fmt.Errorf("layer %d: no layer before %d has keys and values that it could share: %w", i, c.sharedFrom, ErrBadModel))
		}
	}
}

// cacheLayers is the number of layers that store keys and values.
func (c *Config) cacheLayers() int { return 1 + c.most(func(l *LayerConfig) int { return l.Cache }) }

// summarise computes the numbers of the largest layer.
func (c *Config) summarise() {
	c.Heads = c.most(func(l *LayerConfig) int { return l.Heads })
	c.KVHeads = c.most(func(l *LayerConfig) int { return l.KVHeads })
	c.HeadDim = c.most(func(l *LayerConfig) int { return l.HeadDim })
	c.FFN = max(c.most(func(l *LayerConfig) int { return l.FFN }), c.Experts.FFN, c.Experts.Shared, c.LayerInput)
}

func (m *metadata) checkShape(c *Config) {
	for i := range c.PerLayer {
		l := &c.PerLayer[i]
		if l.KVHeads > 0 && (l.Heads == 0 || l.Heads%l.KVHeads != 0) {
			m.fail(fmt.Errorf("layer %d: %d query heads cannot share %d key-value heads: %w", i, l.Heads, l.KVHeads, ErrBadModel))
			break
		}
		if l.Rope != noRope && c.Ropes[l.Rope].Dim > l.HeadDim {
			m.fail(fmt.Errorf("layer %d: rope.dimension_count %d is more than the head's %d columns: %w", i, c.Ropes[l.Rope].Dim, l.HeadDim, ErrBadModel))
			break
		}
	}
	// Written so that NaN fails too.
	if !(c.NormEpsilon > 0 && c.NormEpsilon < 1) {
		m.fail(fmt.Errorf("the epsilon of the norms is %g, want a number between 0 and 1: %w", c.NormEpsilon, ErrBadModel))
	}
	for _, s := range []struct {
		what  string
		value float64
	}{
		{"embedding_scale", float64(c.EmbeddingScale)},
		{"residual_scale", float64(c.ResidualScale)},
		{"logit_scale", float64(c.LogitScale)},
	} {
		if !(s.value > 0 && s.value < 1e6) {
			m.fail(fmt.Errorf("%s: factor %g is out of range: %w", s.what, s.value, ErrBadModel))
		}
	}
	if !(c.LogitCap >= 0 && c.LogitCap < 1e6) || !(c.ScoreCap >= 0 && c.ScoreCap < 1e6) || !(c.ScoreScale >= 0 && c.ScoreScale < 1e3) {
		m.fail(fmt.Errorf("caps of logits %g and scores %g, scale of scores %g: out of range: %w", c.LogitCap, c.ScoreCap, c.ScoreScale, ErrBadModel))
	}
	for i := range c.Ropes {
		if err := c.Ropes[i].check(); err != nil {
			m.fail(err)
		}
	}
}
