package model

// phi3 is Phi-3, 3.5 and 4-mini: queries, keys and values in one tensor, gate and up in another, LongRoPE. As in llama.cpp
// its sliding window is not applied: files give it wrong (pull request 13676).
func phi3() family {
	return family{rope: halves, layer: plainLayer, configure: func(m *metadata, _ *Config) {
		m.use("attention.sliding_window")
		m.use("attention.sliding_window_pattern")
	}}
}
