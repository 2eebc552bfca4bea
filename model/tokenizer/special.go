package tokenizer

import (
	"math"
	"strings"
)

// Texts that make a token special whatever its type says, from llama.cpp. Files often lack the keys for them.
var (
	// eogTexts end generation.
	eogTexts = []string{
		"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<end_of_turn>",
		"<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
		"<|tool_response>",
	}
	// infillTexts stand before the parts of a text that is filled in: what comes before the gap, what comes behind it, and what the
	// model writes.
	infillTexts = [3][]string{
		{"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"},
		{"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"},
		{"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"},
	}
	// infillKeys name the same tokens; the second of each is from files of before November 2024.
	infillKeys = [3][2]string{
		{"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"},
		{"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"},
		{"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"},
	}
)

// endKeys name tokens that end generation; without the key the first of the texts that is in the vocabulary is it.
var endKeys = []struct {
	key   string
	texts []string
}{
	{keyEOS, nil},
	{"tokenizer.ggml.eot_token_id", []string{"_<EOT>", "<｜end▁of▁sentence｜>"}},
	{"tokenizer.ggml.eom_token_id", nil},
	{"tokenizer.ggml.fim_pad_token_id", []string{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
	{"tokenizer.ggml.fim_rep_token_id", []string{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
	{"tokenizer.ggml.fim_sep_token_id", []string{"<|file_sep|>"}},
}

// readIDs reads the tokens with a role, and what is added to a text.
func (l *loader) readIDs() error {
	t := l.t
	n := int32(len(t.flags))
	for _, id := range []struct {
		key string
		to  *int32
	}{{keyCLS, l.clsRole()}, {keyBOS, &t.bos}, {keyEOS, &t.eos}, {keySEP, &t.sep}, {keyUNK, &t.unk}} {
		if *id.to >= n {
			*id.to = -1 // the default of a vocabulary that is too small for it
		}
		v, ok, err := l.id(id.key)
		if err != nil {
			return err
		}
		if ok {
			*id.to = v
		}
	}
	if !l.typed {
		l.guessTypes()
	}
	return nil
}

// clsRole is where the id of the token that stands for a whole text belongs: in front of it, in the vocabularies of BERT.
func (l *loader) clsRole() *int32 {
	if l.t.kind == wpm {
		return &l.t.bos
	}
	return new(int32)
}

// readFlags reads what is added to a text or taken out of it.
func (l *loader) readFlags() error {
	t := l.t
	flag := func(key string, to *bool) {
		if v, ok := l.r.Bool(key); ok {
			*to = v
		}
	}
	addBOS, addEOS, addSEP := false, false, false
	for _, f := range []struct {
		key      string
		to, said *bool
		id       int32
	}{{keyAddBOS, &t.addBOS, &addBOS, t.bos}, {keyAddEOS, &t.addEOS, &addEOS, t.eos}, {keyAddSEP, &t.addSEP, &addSEP, t.sep}} {
		flag(f.key, f.said)
		if *f.said && f.id < 0 {
			return damaged("%s is set, but the file does not say which token that is", f.key)
		}
		flag(f.key, f.to)
		*f.to = *f.to && f.id >= 0
	}
	if t.rule.raw && t.rule.addBOS {
		t.addBOS = t.bos >= 0 // files of Gemma 4 deny it wrongly
	}
	prefix := t.spacePrefix
	flag(keySpacePrefix, &prefix)
	if t.kind == spm || t.kind == ugm {
		t.spacePrefix = prefix
	}
	t.wpm.lowercase = true
	flag(keyLowercase, &t.wpm.lowercase)
	t.wpm.stripAccents = t.wpm.lowercase
	flag(keyAccents, &t.wpm.stripAccents)
	flag(keyMergeSpace, &t.ugm.mergeSpace)
	ids, _ := l.r.Ints(keySuppress)
	if err := l.r.Err(); err != nil {
		return err
	}
	for _, id := range ids.All() {
		if id >= 0 && id < int64(len(t.flags)) {
			t.suppressed = append(t.suppressed, int32(id))
		}
	}
	return nil
}

// guessTypes makes up for a file without types: tokens with a role are not text.
func (l *loader) guessTypes() {
	t := l.t
	if t.bos >= 0 {
		t.flags[t.bos] |= isControl
	}
	if t.eos >= 0 {
		t.flags[t.eos] |= isControl
	}
	if t.unk >= 0 {
		t.flags[t.unk] |= isUnknown
	}
}

// id reads the id of a token. Some converters write -1 for none, as signed or as unsigned number.
func (l *loader) id(key string) (id int32, ok bool, err error) {
	v, ok := l.r.Int(key)
	switch {
	case l.r.Err() != nil:
		return -1, false, l.r.Err()
	case !ok:
		return -1, false, nil
	case v == -1 || v == math.MaxUint32:
		return -1, true, nil
	case v < 0 || v >= int64(len(l.t.flags)):
		return -1, false, damaged("%s is %d, but tokens are 0 to %d", key, v, len(l.t.flags)-1)
	}
	return int32(v), true, nil
}

// markSpecial finds the tokens that end generation and those that are control tokens by their names.
func (l *loader) markSpecial() error {
	t := l.t
	for _, text := range eogTexts {
		l.mark(text, isControl|isEOG)
	}
	if err := l.readInfill(); err != nil {
		return err
	}
	if l.mark("<|return|>", 0) && l.mark("<|call|>", 0) {
		l.unmark("<|end|>", isEOG) // ends a message there, not the turn
	}
	if l.mark("<|tool_response>", 0) {
		l.unmark("</s>", isEOG) // plain text of that vocabulary
	}
	for _, end := range endKeys {
		id, ok, err := l.id(end.key)
		if err != nil {
			return err
		}
		if id >= 0 {
			t.flags[id] |= isEOG
		}
		for _, text := range end.texts {
			if ok || l.mark(text, isControl|isEOG) {
				break
			}
		}
	}
	if t.eos >= 0 {
		t.flags[t.eos] |= isEOG // also where it is a default
	}
	return l.markStrips()
}

// readInfill finds the tokens around a gap, by key or else by text.
func (l *loader) readInfill() error {
	for part, texts := range infillTexts {
		to := &l.t.infill[part]
		*to = -1
		for _, key := range infillKeys[part] {
			id, _, err := l.id(key)
			if err != nil {
				return err
			}
			if *to < 0 && id >= 0 {
				*to = id
				l.t.flags[id] = l.t.flags[id]&^isUser | isControl
			}
		}
		for _, text := range texts {
			if l.mark(text, isControl) && *to < 0 {
				*to = l.byText.find(&l.texts, []byte(text))
			}
		}
	}
	return nil
}

// mark adds flags to the token that the file spells so, and tells whether there is one. A control token is not a
// user-defined one any more: text does not become it without Special.
func (l *loader) mark(text string, f flags) bool {
	id := l.byText.find(&l.texts, []byte(text))
	if id < 0 {
		return false
	}
	if f&isControl != 0 {
		l.t.flags[id] &^= isUser
	}
	l.t.flags[id] |= f
	return true
}

func (l *loader) unmark(text string, f flags) {
	if id := l.byText.find(&l.texts, []byte(text)); id >= 0 {
		l.t.flags[id] &^= f
	}
}

// markStrips finds the tokens that swallow the white space beside them. GGUF has no key for it; llama.cpp goes by names.
func (l *loader) markStrips() error {
	name, _ := l.r.Str("general.name")
	pre := l.pre
	if err := l.r.Err(); err != nil {
		return err
	}
	name = strings.ToLower(name)
	switch {
	case strings.Contains(pre, "jina-v2-de"), strings.Contains(pre, "jina-v2-es"), strings.Contains(pre, "jina-v2-code"):
		l.mark("<mask>", stripsLeft)
	case strings.Contains(name, "phi-3"), strings.Contains(name, "phi3"):
		for id, f := range l.t.flags {
			if f&(isSpecial|isUser) != 0 {
				l.t.flags[id] |= stripsRight
			}
		}
		l.mark("</s>", stripsRight)
		for _, text := range []string{"<unk>", "<s>", "<|endoftext|>"} {
			l.unmark(text, stripsRight)
		}
	case strings.Contains(name, "modern-bert"):
		l.mark("[MASK]", stripsLeft)
	}
	return nil
}
