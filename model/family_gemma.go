package model

import "math"

// gemmaScale is the factor of the embeddings of all Gemma models.
func gemmaScale(c *Config) { c.EmbeddingScale = float32(math.Sqrt(float64(c.Dim))) }

// gemma1 is Gemma 1 (arXiv 2403.08295): GELU, and scaled embeddings. The converter has added the 1 of Gemma's norms.
func gemma1() family {
	return family{
		rope:      halves,
		configure: func(_ *metadata, c *Config) { gemmaScale(c) },
		layer: func(l *loader, c *Config, i int) Layer {
			layer := plainLayer(l, c, i)
			layer.Feed.Activation = GELUTanh
			return layer
		},
	}
}

// sandwich is a layer with norms before and behind its blocks.
func sandwich(l *loader, c *Config, i int) Layer {
	layer := plainLayer(l, c, i)
	layer.MixPostNorm = l.norm(block(i)+"post_attention_norm", c.Dim)
	layer.FeedPostNorm = l.norm(block(i)+"post_ffw_norm", c.Dim)
	layer.Feed.Activation = GELUTanh
	return layer
}

// gemma2 (arXiv 2408.00118) caps scores and logits, and every second layer slides.
func gemma2() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			gemmaScale(c)
			c.ScoreCap = float32(m.number("attn_logit_softcapping", 50))
			c.LogitCap = float32(m.number("final_logit_softcapping", 30))
			m.windows(c, 2, 4096)
			if base := m.number("rope.freq_base_swa", c.Ropes[0].Base); base != c.Ropes[0].Base {
				c.slidingRope(c.Ropes[0].unscaled(base))
			}
			if c.Layers == 46 { // 27B: the scale is not that of its heads
				c.ScoreScale = 1 / math.Sqrt(float64(c.Dim/c.PerLayer[0].Heads))
			}
		},
		layer: sandwich,
	}
}

// gemma3 (arXiv 2503.19786) slides in five of six layers, which rotate with a base of their own, and normalises every query
// and key.
func gemma3() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			gemmaScale(c)
			c.LogitCap = float32(m.number("final_logit_softcapping", 0))
			m.windows(c, 6)
			c.slidingRope(c.Ropes[0].unscaled(m.number("rope.freq_base_swa", 10000)))
			if c.Layers == 62 { // 27B, as Gemma 2
				c.ScoreScale = 1 / math.Sqrt(float64(c.Dim/c.PerLayer[0].Heads))
			}
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := sandwich(l, c, i)
			l.headNorms(layer.Attention, i, false)
			return layer
		},
	}
}

// gemma4 has heads of another width in the layers that slide, values that are normalised, scores without scale, layers
// that use the keys and values of earlier ones, and a third block that adds a second embedding. Its mixture of experts
// (26B) is not known.
func gemma4() family {
	return family{rope: halves, configure: configureGemma4, layer: gemma4Layer, extras: gemma4Inputs}
}

func configureGemma4(m *metadata, c *Config) {
	gemmaScale(c)
	c.ScoreScale, c.keysAreValues = 1, true
	c.LogitCap = float32(m.number("final_logit_softcapping", 0))
	m.windows(c, 6)
	headDim := m.count("attention.key_length_swa", c.PerLayer[0].HeadDim, maxDim)
	m.sameLength("attention.value_length_swa", headDim)
	for i := range c.PerLayer {
		if l := &c.PerLayer[i]; l.Window > 0 {
			l.HeadDim = headDim
		}
	}
	sliding := c.Ropes[0].unscaled(m.number("rope.freq_base_swa", 10000))
	sliding.Dim = m.count("rope.dimension_count_swa", headDim, maxDim)
	c.slidingRope(sliding)
	c.sharedFrom = max(0, c.Layers-m.optional("attention.shared_kv_layers", c.Layers))
	c.LayerInput = m.optional("embedding_length_per_layer_input", maxDim)
}

func gemma4Layer(l *loader, c *Config, i int) Layer {
	layer, p := sandwich(l, c, i), block(i)
	layer.Attention.UnitValues = true
	l.headNorms(layer.Attention, i, false)
	if c.LayerInput > 0 {
		layer.Inject = &Inject{
			Gate:     l.matrix(p+"inp_gate.weight", c.LayerInput, c.Dim),
			Project:  l.matrix(p+"proj.weight", c.Dim, c.LayerInput),
			PostNorm: l.norm(p+"post_norm", c.Dim),
		}
	}
	if by := l.optional(p+"layer_output_scale.weight", 1); by != nil {
		layer.Scale = by[0]
	}
	return layer
}

func gemma4Inputs(l *loader, c *Config, w *Weights) {
	if c.LayerInput == 0 {
		return
	}
	all := c.Layers * c.LayerInput
	w.LayerInputs = &LayerInputs{
		Embedding: l.matrix("per_layer_token_embd.weight", c.Vocab, all),
		Project:   l.matrix("per_layer_model_proj.weight", all, c.Dim),
		Norm:      l.norm("per_layer_proj_norm", c.LayerInput),
	}
}
