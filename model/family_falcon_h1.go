package model

// falconH1 is Falcon-H1 (arXiv 2507.22448): in every layer Mamba-2 and attention of the same input. The multipliers of the
// architecture are in the weights: the converter of llama.cpp multiplies them in.
func falconH1() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			c.Recurrent = m.stateShape(c.Layers)
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := Layer{
				MixNorm:   l.norm(block(i)+"attn_norm", c.Dim),
				Attention: l.attention(c, i),
				Recurrent: l.mamba2(c, i, i),
				Feed:      l.gated(c, i),
			}
			if name := block(i) + "ffn_norm"; l.has(name) { // the converter writes no suffix
				layer.FeedNorm = Norm{Weight: l.vector(name, c.Dim)}
			} else {
				layer.FeedNorm = l.norm(name, c.Dim)
			}
			return layer
		},
	}
}
