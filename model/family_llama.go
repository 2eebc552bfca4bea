package model

// llama is Llama 1 to 3, and what was made after it: SmolLM2, TinyLlama, Mistral 7B (Touvron et al. 2023, arXiv
// 2302.13971).
func llama() family { return family{rope: neighbours, layer: plainLayer} }
