package model

// qwen2 has biases of queries, keys and values, which every family may have.
func qwen2() family { return family{rope: halves, layer: plainLayer} }

// qwen3 has a norm of every query and key instead.
func qwen3() family {
	return family{rope: halves, layer: func(l *loader, c *Config, i int) Layer {
		layer := plainLayer(l, c, i)
		l.headNorms(layer.Attention, i, false)
		return layer
	}}
}

// qwen3moe is qwen3 with experts in all layers.
func qwen3moe() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			m.experts(c)
			c.Experts.Norm = true
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := expertLayer(l, c, i)
			l.headNorms(layer.Attention, i, false)
			return layer
		},
	}
}

// expertLayer is plainLayer with experts in place of the gated unit.
func expertLayer(l *loader, c *Config, i int) Layer {
	return Layer{
		MixNorm:   l.norm(block(i)+"attn_norm", c.Dim),
		Attention: l.attention(c, i),
		FeedNorm:  l.norm(block(i)+"ffn_norm", c.Dim),
		Experts:   l.experts(c, i, SiLU),
	}
}
