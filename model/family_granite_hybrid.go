package model

import "fmt"

// graniteHybrid is Granite 4 H and Bamba: Mamba-2 in the layers without key-value heads, attention in the others, a gated
// unit or a mixture of experts behind either. Multipliers are those of Granite 3.
func graniteHybrid() family {
	return family{
		rope: neighbours,
		configure: func(m *metadata, c *Config) {
			m.graniteScales(c)
			c.Recurrent = m.stateShape(c.recurrentLayers(func(i int) bool { return c.PerLayer[i].KVHeads == 0 }))
			if !m.flag("rope.scaling.finetuned", true) {
				for i := range c.PerLayer {
					c.PerLayer[i].Rope = noRope
				}
			}
			if n := m.optional("expert_count", maxExperts); n > 0 {
				c.Experts = ExpertConfig{
					Count: n, Used: m.count("expert_used_count", 0, n), FFN: c.PerLayer[0].FFN,
					Shared: m.optional("expert_shared_feed_forward_length", maxFFN), Norm: true, Scale: 1,
				}
			}
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
				layer.Feed = l.gated(c, i, SiLU)
			}
			return layer
		},
	}
}

// graniteScales reads the multipliers of Granite. Logits are divided by theirs.
func (m *metadata) graniteScales(c *Config) {
	c.EmbeddingScale = float32(m.number("embedding_scale", 1))
	c.ResidualScale = float32(m.number("residual_scale", 1))
	c.ScoreScale = m.number("attention.scale", 0)
	logits := m.number("logit_scale", 0)
	if !(logits > 0) {
		m.fail(fmt.Errorf("%s.logit_scale is %g or missing, want a positive number: %w", m.arch, logits, ErrBadModel))
	}
	c.LogitScale = float32(1 / logits)
}
