package model

import "fmt"

// bert is BERT and its kin (Devlin et al. 2018, arXiv 1810.04805): learned positions, norms behind the sums.
func bert() family {
	return family{
		lastNorm:  noNorm,
		configure: func(m *metadata, c *Config) { m.encoder(c); c.dropRopes() },
		extras:    func(l *loader, c *Config, w *Weights) { l.embeddings(c, w, true) },
		layer: func(l *loader, c *Config, i int) Layer {
			return Layer{
				Attention: l.attention(c, i), MixEnd: l.norm(block(i)+"attn_output_norm", c.Dim),
				Feed: l.ungated(c, i, GELU), FeedEnd: l.norm(block(i)+"layer_output_norm", c.Dim),
			}
		},
	}
}

// nomicBERT is nomic-embed-text (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotations in the place of positions, and a unit that
// is gated by SiLU.
func nomicBERT() family {
	return family{
		rope:      halves,
		lastNorm:  noNorm,
		configure: func(m *metadata, c *Config) { m.encoder(c) },
		extras:    func(l *loader, c *Config, w *Weights) { l.embeddings(c, w, false) },
		layer: func(l *loader, c *Config, i int) Layer {
			return Layer{
				Attention: l.attention(c, i), MixEnd: l.norm(block(i)+"attn_output_norm", c.Dim),
				Feed: l.gated(c, i), FeedEnd: l.norm(block(i)+"layer_output_norm", c.Dim),
			}
		},
	}
}

// gemmaEmbedding is EmbeddingGemma (Vera et al. 2025, arXiv 2509.20354): Gemma 3 whose positions see both sides, in the layers that
// slide half a window on each, and two matrices behind the mean.
func gemmaEmbedding() family {
	f := gemma3()
	decoder := f.configure
	f.configure = func(m *metadata, c *Config) {
		m.encoder(c)
		decoder(m, c)
	}
	f.extras = func(l *loader, c *Config, w *Weights) {
		cols := c.Dim
		for _, name := range []string{"dense_2.weight", "dense_3.weight"} {
			if t, ok := l.file.Tensor(name); ok {
				w.Dense = append(w.Dense, l.matrix(name, t.Rows(), cols))
				cols = t.Rows()
			}
		}
	}
	return f
}

// encoder reads what makes an encoder.
func (m *metadata) encoder(c *Config) {
	c.Encoder = true
	if m.flag("attention.causal", false) {
		m.fail(fmt.Errorf("%s.attention.causal is true: such a model is no encoder: %w", m.arch, ErrUnsupported))
	}
}

// dropRopes leaves all layers without rotation.
func (c *Config) dropRopes() {
	for i := range c.PerLayer {
		c.PerLayer[i].Rope = noRope
	}
}
