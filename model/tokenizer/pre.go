package tokenizer

import "fmt"

// rule is what a pre-tokenizer name stands for.
type rule struct {
	stages       []stage
	ignoreMerges bool // a whole piece that is in the vocabulary is one token, whatever the merges say
	addBOS       bool // default of tokenizer.ggml.add_bos_token
	addSEP       bool // default of tokenizer.ggml.add_sep_token
	raw          bool // tokens are spelled in UTF-8, not in the alphabet of byte-level BPE, with U+2581 for spaces
}

// ruleFor maps a pre-tokenizer's name to its rule. The warning is for people and empty if all is well. A name that is not
// listed is an ErrUnsupported: with the wrong rule a model still answers, only worse, and nobody would know why.
func ruleFor(pre string) (r rule, warning string, err error) {
	llama3 := (&words{body: letter, digits: 3, tail: "\r\n"}).cut
	qwen2 := (&words{body: letter, digits: 1, tail: "\r\n"}).cut
	switch pre {
	case "", "default":
		return rule{stages: []stage{stageDefaultPunct, stageGPT2, stageNumbers, stageDigits3}},
			"the file does not name its pre-tokenizer (tokenizer.ggml.pre), so a general rule is used: answers can be worse than " +
				"the model is; convert the model again with a current converter, or name the rule with " + overrideHelp, nil
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
		return rule{stages: []stage{llama3}, ignoreMerges: true, addBOS: true}, "", nil
	case "dbrx", "smaug-bpe":
		return rule{stages: []stage{llama3}}, "", nil
	case "glm4", "chatglm-bpe": // converted from tiktoken, where a whole word wins
		return rule{stages: []stage{llama3}, ignoreMerges: true}, "", nil
	case "minicpm5":
		return rule{stages: []stage{stageNumbers3, (&words{body: letter, digits: manyDigits, tail: "\r\n"}).cut}, ignoreMerges: true}, "", nil
	case "jais-2":
		return rule{stages: []stage{stageJais2}}, "", nil
	case "qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "kormo", "f2llmv2", "solar-open", "grok-2",
		"bailingmoe", "bailingmoe2", "llada-moe":
		return rule{stages: []stage{qwen2}}, "", nil
	case "laguna":
		return rule{stages: []stage{stageLine, qwen2}}, "", nil
	case "qwen35":
		return rule{stages: []stage{(&words{body: letter | combining, digits: 1, tail: "\r\n"}).cut}}, "", nil
	case "seed-coder":
		return rule{stages: []stage{(&words{body: letter, digits: 1}).cut}}, "", nil
	case "ufakzeka":
		return rule{stages: []stage{(&words{body: letter, digits: 1, tail: "\r\n", bare: true}).cut}}, "", nil
	case "exaone-moe":
		return rule{stages: []stage{stageExaoneMoe}}, "", nil
	case "smollm", "refact", "starcoder", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2":
		return rule{stages: []stage{stageNumber, stageGPT2}}, "", nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "mellum", "modern-bert", "jina-es", "jina-de", "jina-v2-es",
		"jina-v2-de", "gigachat", "a.x-4.0", "trillion", "granite-docling":
		return rule{stages: []stage{stageGPT2}}, "", nil
	case "roberta-bpe", "jina-v1-en", "jina-v2-code":
		return rule{stages: []stage{stageGPT2}, addSEP: true}, "", nil
	}
	return laterRule(pre)
}

// manyDigits is more numbers than any piece has.
const manyDigits = maxWord

// laterRule are the rules that came after those of gpt-2 and llama3.
func laterRule(pre string) (r rule, warning string, err error) {
	gpt4o := (&casedWords{digits: 3, contractions: true}).cut
	switch pre {
	case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
		return rule{stages: []stage{gpt4o}}, "", nil
	case "granite-embed-multi-97m":
		return rule{stages: []stage{gpt4o}, ignoreMerges: true}, "", nil
	case "tiny_aya", "cohere2moe":
		return rule{stages: []stage{stageDigitGroups, gpt4o}}, "", nil
	case "tekken":
		return rule{stages: []stage{(&casedWords{digits: 1}).cut}, ignoreMerges: true, addBOS: true}, "", nil
	case "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4":
		return rule{stages: []stage{stageNumbers3, stageDeepseekKana, stageDeepseek3}}, "", nil
	case "deepseek-llm":
		return rule{stages: []stage{
			stageNewline, stageDeepseekLetters, stageDeepseekPunct, stageTrailingSpace,
			stageDeepseekHan, stageNumbers,
		}}, "", nil
	case "deepseek-coder":
		return rule{stages: []stage{stageNewline, stageCoderLetters, stageCoderPunct, stageDeepseekHan, stageNumber}}, "", nil
	case "falcon":
		return rule{stages: []stage{stageFalconPunct, stageGPT2, stageDigits3}}, "", nil
	case "bloom", "poro-chat", "gpt3-finnish":
		return rule{stages: []stage{stageBloom}}, "", nil
	case "viking":
		return rule{stages: []stage{stageBloom, stageNumber}}, "", nil
	case "gemma4", "granite-embed-multi-311m":
		return rule{stages: []stage{stageLine}, raw: true, addBOS: true}, "", nil
	case "sarvam-moe":
		return rule{stages: []stage{stageLine}, raw: true}, "", nil
	}
	return rule{}, "", fmt.Errorf("%w: pre-tokenizer %q (tokenizer.ggml.pre) is not one that siskin knows; if you know a rule that fits, "+
		"name it with %s, else use another model", ErrUnsupported, clip(pre), overrideHelp)
}

// overrideHelp says how people choose a rule.
const overrideHelp = "model.tokenizer_pre in the configuration or --tokenizer-pre"

// clip shortens a text from a file for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
