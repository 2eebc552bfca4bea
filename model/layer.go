package model

// Layer holds the weights of one transformer block; shapes are (rows, cols). What a model does not have is zero.
//
//	x += residualScale * mixPostNorm(mixer(mixNorm(x)))
//	x += residualScale * feedPostNorm(feed(feedNorm(x)))
//
// Encoders normalise x itself behind each of both, by MixEnd and FeedEnd.
type Layer struct {
	MixNorm Norm
	// The mixer takes from other positions. Where there are both kinds, each adds what it makes of the same input.
	Attention   *Attention
	Recurrent   *Recurrent
	MixPostNorm Norm
	MixEnd      Norm

	FeedNorm     Norm
	Feed         *Feed    // one of Feed and Experts
	Experts      *Experts //
	FeedPostNorm Norm
	FeedEnd      Norm

	Inject *Inject // a third block
	Scale  float32 // x is multiplied by it at the end; 0 = none
}

// Norm is an RMS norm (Zhang and Sennrich 2019, arXiv 1910.07467) or, with a bias, a layer norm (Ba et al. 2016, arXiv
// 1607.06450). The zero value is no norm.
type Norm struct {
	Weight []float32 // (dim)
	Bias   []float32 // (dim) or nil
}

// present reports whether there is a norm at all.
func (n *Norm) present() bool { return n.Weight != nil }

// Attention is the weights of grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245).
type Attention struct {
	LayerConfig
	Q          Matrix // (heads*headDim, dim)
	K, V       Matrix // (kvHeads*headDim, dim); without rows: see LayerConfig.Shared, and values are the keys before their norm
	O          Matrix // (dim, heads*headDim)
	QBias      []float32
	KBias      []float32
	VBias      []float32
	OBias      []float32
	QNorm      []float32 // (headDim): RMS norm of each head; (heads*headDim): of all heads together; nil: none
	KNorm      []float32 // the same for keys
	UnitValues bool      // values are RMS normalised, without weights
	Gated      bool      // Q has a gate (headDim) behind each query: heads are multiplied by its sigmoid
	shape      int       // index in State.attends
}

// wideNorm reports whether the norm of queries and keys is one of all heads together.
func (a *Attention) wideNorm() bool { return len(a.QNorm) > a.HeadDim }

// Activation is the function between the two products of a feed-forward block.
type Activation uint8

// The activations.
const (
	NoActivation Activation = iota
	SiLU                    // x*sigmoid(x)
	GELU                    // x/2*(1+erf(x/sqrt(2))) (arXiv 1606.08415)
	GELUTanh                // x/2*(1+tanh(sqrt(2/pi)*(x+0.044715x^3))) (Hendrycks and Gimpel 2016, arXiv 1606.08415)
)

// Feed is a feed-forward block: Down·(act(Gate·x)*(Up·x)), or, without Gate, Down·act(Up·x).
type Feed struct {
	Activation Activation
	Gate, Up   Matrix // (ffn, dim)
	Down       Matrix // (dim, ffn)
	GateBias   []float32
	UpBias     []float32
	DownBias   []float32
}

// Experts is a mixture of feed-forward blocks (Shazeer et al. 2017, arXiv 1701.06538): the router scores them, and a token
// goes through the best ExpertConfig.Used.
type Experts struct {
	Router Matrix // (experts, dim)
	Each   []Feed // (experts)
	Shared *Feed  // that every token goes through besides, or nil
}

// matrices lists the matrices of a layer in the order in which a pass reads them, all experts among them.
func (l *Layer) matrices() []*Matrix { return l.read(maxExperts) }

// ReadByToken lists the matrices that one decoded token reads, in order; of equal experts as many as it goes through.
func (l *Layer) ReadByToken(c *Config) []*Matrix { return l.read(c.Experts.Used) }

func (l *Layer) read(experts int) []*Matrix {
	var out []*Matrix
	add := func(all ...*Matrix) {
		for _, m := range all {
			if m.Rows > 0 {
				out = append(out, m)
			}
		}
	}
	if a := l.Attention; a != nil {
		add(&a.Q, &a.K, &a.V, &a.O)
	}
	if r := l.Recurrent; r != nil {
		add(&r.In, &r.Gate, &r.Alpha, &r.Beta, &r.Out)
	}
	if l.Feed != nil {
		add(l.Feed.matrices()...)
	}
	if e := l.Experts; e != nil {
		add(&e.Router)
		for i := range e.Each[:min(experts, len(e.Each))] {
			add(e.Each[i].matrices()...)
		}
		if e.Shared != nil {
			add(e.Shared.matrices()...)
		}
	}
	if l.Inject != nil {
		add(&l.Inject.Gate, &l.Inject.Project)
	}
	return out
}

func (f *Feed) matrices() []*Matrix { return []*Matrix{&f.Gate, &f.Up, &f.Down} }
