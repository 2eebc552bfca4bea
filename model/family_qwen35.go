package model

import (
	"fmt"

	"siskin/model/recurrent"
)

// qwen35 is Qwen3.5: three layers of four are gated delta nets (Yang, Kautz, Hatamizadeh 2024, arXiv 2412.06464), the others
// attention with gates behind the queries. Text has one position for all sections of the rotation (IMROPE), which is then
// the plain one. The layers behind the last that predict further tokens are left out.
func qwen35() family {
	return family{
		rope:      halves,
		configure: configureQwen35,
		layer: func(l *loader, c *Config, i int) Layer {
			layer := Layer{
				MixNorm:  l.norm(block(i)+"attn_norm", c.Dim),
				FeedNorm: l.norm(block(i)+"post_attention_norm", c.Dim),
				Feed:     l.gated(c, i),
			}
			if c.PerLayer[i].KVHeads > 0 {
				layer.Attention = l.gatedAttention(c, i)
			} else {
				layer.Recurrent = l.deltaNet(c, i)
			}
			return layer
		},
		extras: func(l *loader, c *Config, _ *Weights) {
			// What predicts further tokens.
			for i := c.Layers; l.has(block(i) + "attn_norm.weight"); i++ {
				l.skip(block(i))
			}
		},
	}
}

// fullAttentionInterval is the default of full_attention_interval (design of the family, models/qwen35.cpp of llama.cpp).
const fullAttentionInterval = 4

func configureQwen35(m *metadata, c *Config) {
	if further := m.optional("nextn_predict_layers", maxLayers); further < c.Layers {
		c.Layers -= further
		c.PerLayer, c.sharedFrom = c.PerLayer[:c.Layers], c.Layers
	} else {
		m.fail(fmt.Errorf("%s.nextn_predict_layers is %d of %d layers: %w", m.arch, further, c.Layers, ErrBadModel))
		return
	}
	m.use("rope.dimension_sections")
	interval := m.count("full_attention_interval", fullAttentionInterval, maxLayers)
	is := func(i int) bool { return (i+1)%interval != 0 }
	if marks, ok := m.File().Bools(m.use("attention.recurrent_layers")); ok {
		if marks.Len() < c.Layers {
			m.fail(fmt.Errorf("%s.attention.recurrent_layers has %d values for %d layers: %w", m.arch, marks.Len(), c.Layers, ErrBadModel))
			return
		}
		is = marks.At
	}
	c.Recurrent = m.stateShape(c.recurrentLayers(is))
}

// gatedAttention takes an attention whose queries have gates behind them, head by head.
func (l *loader) gatedAttention(c *Config, i int) *Attention {
	p, a := block(i), &Attention{LayerConfig: c.PerLayer[i], Gated: true}
	q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	a.Q = l.matrix(p+"attn_q.weight", 2*q, c.Dim)
	a.K, a.V = l.matrix(p+"attn_k.weight", kv, c.Dim), l.matrix(p+"attn_v.weight", kv, c.Dim)
	a.O = l.matrix(p+"attn_output.weight", c.Dim, q)
	l.headNorms(a, i, false)
	return a
}

// deltaNet takes the tensors of the gated delta net of layer i.
func (l *loader) deltaNet(c *Config, i int) *Recurrent {
	p, s := block(i), &c.Recurrent
	inner := s.Heads * s.Rows
	return &Recurrent{
		In:    l.matrix(p+"attn_qkv.weight", s.Channels, c.Dim),
		Gate:  l.matrix(p+"attn_gate.weight", inner, c.Dim),
		Alpha: l.matrix(p+"ssm_alpha.weight", s.Heads, c.Dim),
		Beta:  l.matrix(p+"ssm_beta.weight", s.Heads, c.Dim),
		Out:   l.matrix(p+"ssm_out.weight", c.Dim, inner),
		DeltaNet: &recurrent.DeltaNet{
			Conv:    l.taps(p+"ssm_conv1d.weight", s),
			A:       l.vector(p+"ssm_a", s.Heads),
			DT:      l.vector(p+"ssm_dt.bias", s.Heads),
			Norm:    l.vector(p+"ssm_norm.weight", s.Rows),
			Epsilon: c.NormEpsilon,
		},
		index: c.stateIndex(i),
	}
}
