package model

// olmo2 is OLMo 2 (arXiv 2501.00656) and 3: norms behind the blocks, and one norm for all queries and one for all keys. The
// layers of OLMo 3 that slide rotate without YaRN.
func olmo2() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			m.windows(c, 4)
			plain := c.Ropes[0].unscaled(m.number("rope.freq_base_swa", c.Ropes[0].Base))
			c.slidingRope(plain)
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := normsBehindLayer(l, c, i)
			l.headNorms(layer.Attention, i, true)
			return layer
		},
	}
}

// exaone4 is EXAONE 4.0 (arXiv 2507.11407): norms behind the blocks and of every query and key; where some layers slide,
// only those rotate.
func exaone4() family {
	return family{
		rope: halves,
		configure: func(m *metadata, c *Config) {
			m.windows(c, 4)
			if c.slides() {
				for i := range c.PerLayer {
					if c.PerLayer[i].Window == 0 {
						c.PerLayer[i].Rope = noRope
					}
				}
			}
		},
		layer: func(l *loader, c *Config, i int) Layer {
			layer := normsBehindLayer(l, c, i)
			l.headNorms(layer.Attention, i, false)
			return layer
		},
	}
}
