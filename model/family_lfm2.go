package model

import "siskin/model/recurrent"

// lfm2 is LFM2 and LFM2.5 (technical report, arXiv 2511.23404): gated short convolutions, and attention with a norm of every
// query and key in the layers that have key-value heads.
func lfm2() family {
	return family{
		rope:     halves,
		lastNorm: "token_embd_norm",
		configure: func(m *metadata, c *Config) {
			n := c.recurrentLayers(func(i int) bool { return c.PerLayer[i].KVHeads == 0 })
			c.Recurrent = recurrent.Shape{Layers: n, Channels: c.Dim, Taps: m.count("shortconv.l_cache", 0, maxTaps)}
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := Layer{
				MixNorm:  l.norm(block(i)+"attn_norm", c.Dim),
				FeedNorm: l.norm(block(i)+"ffn_norm", c.Dim),
				Feed:     l.gated(c, i),
			}
			if c.PerLayer[i].KVHeads > 0 {
				layer.Attention = l.attention(c, i)
				l.headNorms(layer.Attention, i, false)
			} else {
				layer.Recurrent = &Recurrent{
					In:        l.matrix(block(i)+"shortconv.in_proj.weight", 3*c.Dim, c.Dim),
					Out:       l.matrix(block(i)+"shortconv.out_proj.weight", c.Dim, c.Dim),
					ShortConv: &recurrent.ShortConv{Conv: l.taps(block(i)+"shortconv.conv.weight", &c.Recurrent)},
					index:     c.stateIndex(i),
				}
			}
			return layer
		},
	}
}
