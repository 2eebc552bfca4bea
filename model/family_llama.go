package model

// llama is Llama 1 to 3, and what was made after it: SmolLM2, TinyLlama, Mistral 7B (Touvron et al. 2023, arXiv
// 2302.13971). A sliding window, of Mistral 7B v0.1 (arXiv 2310.06825), is that of all layers.
func llama() family {
	return family{rope: neighbours, layer: plainLayer, configure: func(m *metadata, c *Config) { m.windows(c, 0) }}
}

// smollm3 leaves every fourth layer without rotation.
func smollm3() family {
	return family{rope: neighbours, layer: plainLayer, configure: func(_ *metadata, c *Config) {
		for i := 3; i < c.Layers; i += 4 {
			c.PerLayer[i].Rope = noRope
		}
	}}
}

// mistral is Ministral 3: YaRN, and queries that grow with their position.
func mistral() family {
	return family{rope: neighbours, layer: plainLayer, configure: func(m *metadata, c *Config) {
		c.ScoreScale = m.number("attention.scale", 0)
		c.Temperature.Scale = m.number("attention.temperature_scale", 0)
		if c.Temperature.Scale != 0 {
			c.Temperature.Length = m.count("attention.temperature_length", c.Ropes[0].Original, maxContext)
		}
	}}
}
