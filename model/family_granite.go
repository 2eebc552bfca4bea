package model

import "math"

// granite is Granite 3 and 4 without Mamba layers, dense or with experts: four scales, and rotation only if the file does
// not say that it was trained without.
func granite() family {
	return family{
		rope: neighbours,
		configure: func(m *metadata, c *Config) {
			c.EmbeddingScale = float32(m.positive("embedding_scale", 1))
			c.ResidualScale = float32(m.positive("residual_scale", 1))
			c.LogitScale = float32(1 / m.positive("logit_scale", 0))
			c.ScoreScale = m.number("attention.scale", 0)
			if !m.flag("rope.scaling.finetuned", true) {
				for i := range c.PerLayer {
					c.PerLayer[i].Rope = noRope
				}
			}
			m.experts(c)
			c.Experts.Norm = true
		},
		layer: func(l *loader, c *Config, i int) Layer {
			if c.Experts.Count > 0 {
				return expertLayer(l, c, i)
			}
			return plainLayer(l, c, i)
		},
	}
}

// minicpm is MiniCPM 1 and 2 (Hu et al. 2024, arXiv 2404.06395), with the scales of its 2B where the file has none.
func minicpm() family {
	return family{rope: neighbours, layer: plainLayer, configure: func(m *metadata, c *Config) {
		c.EmbeddingScale = float32(m.positive("embedding_scale", 12))
		c.ResidualScale = float32(m.positive("residual_scale", 1.4/math.Sqrt(float64(c.Layers))))
		c.LogitScale = float32(1 / m.positive("logit_scale", float64(c.Dim)/256))
	}}
}
