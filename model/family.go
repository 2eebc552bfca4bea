package model

// family is what an architecture adds to the common: how its keys become a Config, and how its tensors become layers. One
// file for each, family_NAME.go; facts are those of llama.cpp's src/models and of transformers 5.24, read 2026-11-26.
type family struct {
	rope      ropeOrder
	configure func(m *metadata, c *Config)            // reads what only this architecture has; nil: nothing
	layer     func(l *loader, c *Config, i int) Layer // takes the tensors of layer i
	extras    func(l *loader, c *Config, w *Weights)  // takes tensors beside the layers; nil: none
	lastNorm  string                                  // name of the norm before the output; "": output_norm
}

// familyOf returns the family of an architecture, as general.architecture names it.
func familyOf(architecture string) (family, bool) {
	switch architecture {
	case "llama":
		return llama(), true
	case "qwen2", "qwen3":
		return qwen(architecture == "qwen3"), true
	case "lfm2":
		return lfm2(), true
	case "qwen35":
		return qwen35(), true
	case "falcon-h1":
		return falconH1(), true
	case "granitehybrid":
		return graniteHybrid(), true
	default:
		return family{}, false
	}
}

func (f family) outputNorm() string {
	if f.lastNorm == "" {
		return "output_norm"
	}
	return f.lastNorm
}

// plainLayer is the layer that most families have: norm, attention, norm, gated unit.
func plainLayer(l *loader, c *Config, i int) Layer {
	return Layer{
		MixNorm:   l.norm(block(i)+"attn_norm", c.Dim),
		Attention: l.attention(c, i),
		FeedNorm:  l.norm(block(i)+"ffn_norm", c.Dim),
		Feed:      l.gated(c, i, SiLU),
	}
}
