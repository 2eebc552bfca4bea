package model

// qwen is Qwen2, with biases of queries, keys and values, and Qwen3, with a norm of every query and key instead.
func qwen(headNorms bool) family {
	return family{rope: halves, layer: func(l *loader, c *Config, i int) Layer {
		layer := plainLayer(l, c, i)
		if headNorms {
			l.headNorms(layer.Attention, i, false)
		}
		return layer
	}}
}
