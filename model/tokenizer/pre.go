package tokenizer

import "fmt"

// rule is what a pre-tokenizer name stands for.
type rule struct {
	stages       []stage
	ignoreMerges bool // a whole piece that is in the vocabulary is one token, whatever the merges say
	addBOS       bool // default of tokenizer.ggml.add_bos_token
}

// ruleFor maps tokenizer.ggml.pre to its rule. The warning is for people and empty if all is well. A name that is not
// listed is an ErrUnsupported: with the wrong rule a model still answers, only worse, and nobody would know why.
func ruleFor(pre string) (r rule, warning string, err error) {
	switch pre {
	case "", "default":
		return rule{stages: []stage{stageDefaultPunct, stageGPT2, stageNumbers, stageDigits3}},
			"the file does not name its pre-tokenizer (tokenizer.ggml.pre), so a general rule is used: " +
				"answers can be worse than the model is; convert the model again with a current converter", nil
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
		return rule{stages: []stage{stageLlama3}, ignoreMerges: true, addBOS: true}, "", nil
	case "dbrx", "smaug-bpe":
		return rule{stages: []stage{stageLlama3}}, "", nil
	case "qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "kormo", "f2llmv2", "solar-open", "grok-2":
		return rule{stages: []stage{stageQwen2}}, "", nil
	case "smollm", "refact", "starcoder", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2":
		return rule{stages: []stage{stageNumber, stageGPT2}}, "", nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "mellum", "modern-bert", "roberta-bpe", "jina-es", "jina-de",
		"jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "gigachat", "a.x-4.0", "trillion", "granite-docling":
		return rule{stages: []stage{stageGPT2}}, "", nil
	case "falcon":
		return rule{stages: []stage{stageFalconPunct, stageGPT2, stageDigits3}}, "", nil
	case "deepseek-llm":
		return rule{stages: []stage{
			stageNewline, stageDeepseekLetters, stageDeepseekPunct, stageTrailingSpace,
			stageDeepseekHan, stageNumbers,
		}}, "", nil
	}
	return rule{}, "", fmt.Errorf("%w: pre-tokenizer %q (tokenizer.ggml.pre) is not one that siskin knows; use another model",
		ErrUnsupported, clip(pre))
}

// clip shortens a text from a file for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
