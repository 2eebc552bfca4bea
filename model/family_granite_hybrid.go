package model

// graniteHybrid is Granite 4 H and Bamba: Mamba-2 in the layers without key-value heads, attention in the others, a gated
// unit or a mixture of experts behind either. Multipliers are those of Granite 3.
func graniteHybrid() family {
	return family{
		rope: neighbours,
		configure: func(m *metadata, c *Config) {
			granite().configure(m, c)
			c.Recurrent = m.stateShape(c.recurrentLayers(func(i int) bool { return c.PerLayer[i].KVHeads == 0 }))
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := Layer{
				MixNorm:  l.norm(block(i)+"attn_norm", c.Dim),
				FeedNorm: l.norm(block(i)+"ffn_norm", c.Dim),
			}
			if c.PerLayer[i].KVHeads > 0 {
				layer.Attention = l.attention(c, i)
			} else {
				layer.Recurrent = l.mamba2(c, i, c.stateIndex(i))
			}
			if c.Experts.Count > 0 {
				layer.Experts = l.experts(c, i, SiLU)
			} else {
				layer.Feed = l.gated(c, i)
			}
			return layer
		},
	}
}
