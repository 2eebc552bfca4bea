package model

// family is what an architecture adds to the common: how its keys become a Config, and how its tensors become layers. One
// file for each, family_NAME.go; facts are those of llama.cpp's src/models and of transformers 5.24, read 2026-11-26.
type family struct {
	rope      ropeOrder
	configure func(m *metadata, c *Config)            // reads what only this architecture has; nil: nothing
	layer     func(l *loader, c *Config, i int) Layer // takes the tensors of layer i
	extras    func(l *loader, c *Config, w *Weights)  // takes tensors beside the layers; nil: none
	lastNorm  string                                  // name of the norm before the output; "": output_norm; noNorm: none
}

// noNorm as family.lastNorm.
const noNorm = "-"

// familyOf returns the family of an architecture, as general.architecture names it.
func familyOf(architecture string) (family, bool) {
	switch architecture {
	case "llama":
		return llama(), true
	case "mistral3":
		return mistral(), true
	case "qwen2":
		return qwen2(), true
	case "qwen3":
		return qwen3(), true
	case "qwen3moe":
		return qwen3moe(), true
	case "gemma":
		return gemma1(), true
	case "gemma2":
		return gemma2(), true
	case "gemma3":
		return gemma3(), true
	case "gemma4":
		return gemma4(), true
	case "phi3":
		return phi3(), true
	case "granite", "granitemoe":
		return granite(), true
	case "minicpm":
		return minicpm(), true
	case "smollm3":
		return smollm3(), true
	case "olmo2":
		return olmo2(), true
	case "exaone4":
		return exaone4(), true
	case "lfm2":
		return lfm2(), true
	case "qwen35":
		return qwen35(), true
	case "falcon-h1":
		return falconH1(), true
	case "granitehybrid":
		return graniteHybrid(), true
	case "bert":
		return bert(), true
	case "nomic-bert":
		return nomicBERT(), true
	case "gemma-embedding":
		return gemmaEmbedding(), true
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
		Feed:      l.gated(c, i),
	}
}

// normsBehindLayer has its norms behind attention and gated unit.
func normsBehindLayer(l *loader, c *Config, i int) Layer {
	return Layer{
		Attention:    l.attention(c, i),
		MixPostNorm:  l.norm(block(i)+"post_attention_norm", c.Dim),
		Feed:         l.gated(c, i),
		FeedPostNorm: l.norm(block(i)+"post_ffw_norm", c.Dim),
	}
}
