package model

import (
	"fmt"
	"math"
	"slices"

	"siskin/model/arena"
)

// Rope is one kind of rotation of queries and keys by their positions (Su et al. 2021, arXiv 2104.09864).
type Rope struct {
	Dim    int     // columns of a head that are rotated, the first ones; even
	Base   float64 // 10000 unless the file says otherwise
	Scale  float64 // positions are divided by it (Chen et al. 2023, arXiv 2306.15595); 1 = none
	Halves bool    // column j turns with column j+Dim/2 (GGUF's NEOX order), not with its neighbour (NORM)
	// Magnitude multiplies cosines and sines, and so queries and keys; 1 = none.
	Magnitude float64
	Yarn      Yarn

	// Factors divide the angles (Dim/2): Llama 3.1's scaling is baked into rope_freqs.weight. LongFactors are taken in their
	// place where a context may be longer than Original positions (LongRoPE, Ding et al. 2024, arXiv 2402.13753). Nil: none.
	Factors, LongFactors []float32
	Original             int // positions that the model was trained for before its context was extended
}

// Yarn stretches the slow rotations alone (Peng et al. 2023, arXiv 2309.00071, section 3.2): a pair that turns more than
// Fast times within Rope.Original positions is as it was, one that turns less than Slow times is divided by Factor.
type Yarn struct {
	Factor     float64 // 0: no YaRN
	Fast, Slow float64 // turns
}

// ropeOrder is the order of the pairs in an architecture's heads; the file does not say it.
type ropeOrder bool

const (
	neighbours ropeOrder = false
	halves     ropeOrder = true
)

// rope reads the rotation of all layers.
func (m *metadata) rope(c *Config, order ropeOrder) Rope {
	r := Rope{
		Dim:       m.count("rope.dimension_count", c.PerLayer[0].HeadDim, maxDim),
		Base:      m.number("rope.freq_base", 10000),
		Scale:     1,
		Halves:    bool(order),
		Magnitude: m.number("rope.scaling.attn_factor", 1),
		Original:  m.count("rope.scaling.original_context_length", c.Context, maxContext),
	}
	// A factor without a type is linear, and the converter of Phi-3 names no type beside its attn_factor (llama-model.cpp,
	// load_hparams; conversion/phi.py).
	switch kind, _ := m.Str(m.use("rope.scaling.type")); kind {
	case "", "linear":
		old := m.number("rope.scale_linear", 1) // the key of files from before rope.scaling
		r.Scale = m.number("rope.scaling.factor", old)
	case "none", "longrope":
	case "yarn":
		m.yarn(&r)
	default:
		m.fail(fmt.Errorf("%s.rope.scaling.type %q: only linear, yarn and longrope are known: %w", m.arch, kind, ErrUnsupported))
	}
	return r
}

// yarn reads the keys of YaRN. Its magnitude is 0.1 ln(factor) + 1 (section 3.4), divided by the same with the multiplier of
// the file (transformers: mscale_all_dim), and multiplied by what the file has.
func (m *metadata) yarn(r *Rope) {
	r.Yarn = Yarn{
		Factor: m.number("rope.scaling.factor", 1),
		Fast:   m.number("rope.scaling.yarn_beta_fast", 32),
		Slow:   m.number("rope.scaling.yarn_beta_slow", 1),
	}
	log := 0.1 * math.Log(max(1, r.Yarn.Factor))
	r.Magnitude *= (1 + log) / (1 + m.number("rope.scaling.yarn_log_multiplier", 0)*log)
	m.refuse("rope.scaling.yarn_ext_factor", 1)
}

// unscaled is r with another base and without what stretches its context: for layers whose window does not grow.
func (r Rope) unscaled(base float64) Rope {
	return Rope{Dim: r.Dim, Base: base, Scale: 1, Magnitude: 1, Halves: r.Halves, Original: r.Original}
}

// slidingRope gives the layers that slide a rotation of their own.
func (c *Config) slidingRope(r Rope) {
	if !c.slides() {
		return
	}
	for i := range c.PerLayer {
		if l := &c.PerLayer[i]; l.Window > 0 {
			l.Rope = len(c.Ropes)
		}
	}
	c.Ropes = append(c.Ropes, r)
}

// slides reports whether attention of any layer is limited to a window.
func (c *Config) slides() bool { return c.most(func(l *LayerConfig) int { return l.Window }) > 0 }

// check refuses numbers that no rotation can be computed with; written so that NaN fails too.
func (r *Rope) check() error {
	if r.Dim%2 != 0 {
		return fmt.Errorf("rope.dimension_count %d: want an even number: %w", r.Dim, ErrBadModel)
	}
	if !(r.Base > 1 && r.Base < 1e12) || !(r.Scale > 0 && r.Scale < 1e6) || !(r.Magnitude > 0 && r.Magnitude < 1e3) {
		return fmt.Errorf("rope.freq_base %g, scaling factor %g, magnitude %g: out of range: %w", r.Base, r.Scale, r.Magnitude, ErrBadModel)
	}
	if y := r.Yarn; y.Factor != 0 && !(y.Factor > 0 && y.Factor < 1e6 && y.Slow > 0 && y.Fast > y.Slow && y.Fast < 1e6) {
		return fmt.Errorf("rope.scaling: factor %g, yarn_beta_fast %g, yarn_beta_slow %g: out of range: %w", y.Factor, y.Fast, y.Slow, ErrBadModel)
	}
	return nil
}

// frequencies returns the angle per position of each rotated pair, for contexts of the given length.
func (r *Rope) frequencies(context int) []float64 {
	factors := r.Factors
	if r.LongFactors != nil && context > r.Original {
		factors = r.LongFactors
	}
	out := make([]float64, r.Dim/2)
	for i := range out {
		out[i] = math.Pow(r.Base, -2*float64(i)/float64(r.Dim)) / r.Scale
		if factors != nil {
			out[i] /= float64(factors[i])
		}
		if r.Yarn.Factor != 0 {
			kept := r.kept(i)
			out[i] = out[i]*kept + out[i]/r.Yarn.Factor*(1-kept)
		}
	}
	return out
}

// kept is the share of pair i that YaRN leaves as it was: a ramp between the pairs that turn Fast and Slow times, which are
// rounded outwards to whole pairs.
func (r *Rope) kept(i int) float64 {
	pair := func(turns float64) float64 {
		return float64(r.Dim) * math.Log(float64(r.Original)/(turns*2*math.Pi)) / (2 * math.Log(r.Base))
	}
	low := max(0, math.Floor(pair(r.Yarn.Fast)))
	high := min(float64(r.Dim-1), math.Ceil(pair(r.Yarn.Slow)))
	return 1 - min(1, max(0, (float64(i)-low)/max(0.001, high-low)))
}

// rotation is what a pass needs of a Rope: the angles, and for each row their cosines and sines.
type rotation struct {
	freqs     []float64 // (pairs) angle per position
	magnitude float64
	halves    bool
	cos, sin  []float32 // (rows, pairs)
}

func newRotations(ropes []Rope, context, rows int, a *arena.Arena) []rotation {
	out := make([]rotation, len(ropes))
	for i := range ropes {
		r := &ropes[i]
		n := rows * r.Dim / 2
		out[i] = rotation{freqs: r.frequencies(context), magnitude: r.Magnitude, halves: r.Halves, cos: a.Floats(n), sin: a.Floats(n)}
	}
	return out
}

// turn computes the cosines and sines of the rows' positions.
func (r *rotation) turn(rows []Row) {
	half := len(r.freqs)
	for i, row := range rows {
		cos, sin := r.cos[i*half:(i+1)*half], r.sin[i*half:(i+1)*half]
		for j, freq := range r.freqs {
			s, c := math.Sincos(float64(row.Pos) * freq)
			cos[j], sin[j] = float32(c*r.magnitude), float32(s*r.magnitude)
		}
	}
}

// of returns the cosines and sines of row i.
func (r *rotation) of(i int) (cos, sin []float32) {
	half := len(r.freqs)
	return r.cos[i*half : (i+1)*half], r.sin[i*half : (i+1)*half]
}

// badFactor returns the index of the first factor that is no positive number, or -1.
func badFactor(factors []float32) int {
	return slices.IndexFunc(factors, func(f float32) bool { return !(f > 0) })
}
