package tokenizer

import (
	"fmt"
	"math"
	"strings"

	"siskin/model/gguf"
)

// Keys of the metadata.
const (
	keyModel       = "tokenizer.ggml.model"
	keyPre         = "tokenizer.ggml.pre"
	keyTokens      = "tokenizer.ggml.tokens"
	keyTypes       = "tokenizer.ggml.token_type"
	keyScores      = "tokenizer.ggml.scores"
	keyMerges      = "tokenizer.ggml.merges"
	keySpacePrefix = "tokenizer.ggml.add_space_prefix"
	keyAddBOS      = "tokenizer.ggml.add_bos_token"
	keyAddEOS      = "tokenizer.ggml.add_eos_token"
	keyBOS         = "tokenizer.ggml.bos_token_id"
	keyEOS         = "tokenizer.ggml.eos_token_id"
	keySEP         = "tokenizer.ggml.seperator_token_id" // spelled so
	keyCLS         = "tokenizer.ggml.cls_token_id"
	keyUNK         = "tokenizer.ggml.unknown_token_id"
	keyAddSEP      = "tokenizer.ggml.add_sep_token"
	keyMergeSpace  = "tokenizer.ggml.remove_extra_whitespaces"
	keyCharsmap    = "tokenizer.ggml.precompiled_charsmap"
	keyLowercase   = "tokenizer.ggml.normalizer.lowercase"
	keyAccents     = "tokenizer.ggml.normalizer.strip_accents"
	keySuppress    = "tokenizer.ggml.suppress_tokens"
)

// maxSpecial is the longest text of a token that is looked for in text as it is, in bytes; real ones have less than 300.
const maxSpecial = 4096

// loader builds a Tokenizer.
type loader struct {
	t      *Tokenizer
	r      *gguf.Reader
	texts  strTable // the tokens as the file spells them
	byText strIndex // of texts
	typed  bool     // the file has token types
	pre    string   // name of the pre-tokenizer
}

// FromGGUF builds the tokenizer of a model file. It fails with ErrUnsupported or ErrVocabulary, or with the *gguf.Error of a
// key of the wrong kind.
func FromGGUF(f *gguf.File) (*Tokenizer, error) { return FromGGUFAs(f, "") }

// FromGGUFAs is FromGGUF with the name of a pre-tokenizer in place of the one in the file, for files that name none or one
// that this package does not know. Empty: the file's. It does not apply to kinds without pre-tokenizers.
func FromGGUFAs(f *gguf.File, pre string) (*Tokenizer, error) {
	l := &loader{t: &Tokenizer{bos: -1, eos: -1, sep: -1, unk: -1}, r: f.Reader()}
	if err := l.chooseKind(pre); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	for _, step := range []func() error{
		l.readTokens, l.readTypes, l.readIDs, l.readFlags, l.markSpecial, l.spell, l.findBytes, l.readOrder, l.finish,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
	}
	return l.t, nil
}

// chooseKind reads what kind of tokenizer it is, and sets the defaults of that kind, which are those of llama.cpp.
func (l *loader) chooseKind(override string) (err error) {
	t := l.t
	model, ok := l.r.Str(keyModel)
	l.pre, _ = l.r.Str(keyPre)
	if override != "" {
		l.pre = override
	}
	switch {
	case l.r.Err() != nil:
		return l.r.Err()
	case !ok:
		return fmt.Errorf("%w: the file has no tokenizer (key %s)", ErrUnsupported, keyModel)
	case model == "llama":
		t.kind, t.raw, t.spacePrefix, t.addBOS = spm, true, true, true
		t.bos, t.eos, t.unk = 1, 2, 0
	case model == "bert":
		t.kind, t.raw, t.addBOS, t.addSEP = wpm, true, true, true
		t.unk, t.bos, t.sep = 100, 101, 102
	case model == "t5":
		t.kind, t.raw, t.addEOS = ugm, true, true
		t.eos, t.unk = 1, 2
	case model == "gpt2", model == "gemma4":
		if model == "gemma4" && override == "" {
			l.pre = "gemma4"
		}
		if t.rule, t.warning, err = ruleFor(l.pre); err != nil {
			return err
		}
		t.raw, t.addBOS, t.addSEP = t.rule.raw, t.rule.addBOS, t.rule.addSEP
		t.classes = newClasses()
	default:
		return fmt.Errorf("%w: kind %q (%s) is not one that siskin knows; use a model with \"gpt2\", \"llama\", \"gemma4\", \"bert\" or \"t5\"",
			ErrUnsupported, clip(model), keyModel)
	}
	return nil
}

// damaged is an ErrVocabulary.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrVocabulary, fmt.Sprintf(format, args...))
}

// readTokens reads the texts and refuses equal ones: the second of them could never be reached.
func (l *loader) readTokens() error {
	tokens, ok := l.r.Strings(keyTokens)
	if err := l.r.Err(); err != nil {
		return err
	}
	n := tokens.Len()
	switch {
	case !ok || n == 0:
		return damaged("no tokens (key %s)", keyTokens)
	case n > maxTokens:
		return damaged("%d tokens; the most that siskin takes is %d", n, maxTokens)
	}
	size := 0
	for _, b := range tokens.All() {
		size += len(b)
	}
	if size > math.MaxInt32 {
		return damaged("%d bytes of token texts", size)
	}
	l.texts, l.byText = newStrTable(n, size), newStrIndex(n)
	empty := 0
	for i, b := range tokens.All() {
		l.texts.append(b)
		if len(b) == 0 {
			empty++ // llama.cpp accepts them, so there may be such files; they match nothing and print nothing
			continue
		}
		if before, ok := l.byText.add(&l.texts, int32(i)); !ok {
			return damaged("tokens %d and %d are both %q", before, i, clip(string(b)))
		}
	}
	if empty > 0 {
		l.warn(fmt.Sprintf("%d tokens of the vocabulary are empty", empty))
	}
	l.t.flags = make([]flags, n)
	return nil
}

func (l *loader) warn(text string) {
	if l.t.warning != "" {
		text = l.t.warning + "; " + text
	}
	l.t.warning = text
}

// Token types of the format, and what they make of a token.
var typeFlags = [...]flags{
	0: 0,         // undefined
	1: 0,         // normal
	2: isUnknown, // unknown
	3: isControl, // control
	4: isUser,    // user defined
	5: 0,         // unused: normal for llama.cpp, too
	6: isByte,    // byte
}

// readTypes reads the token types. A file without them has no special tokens but those that are found by their names.
func (l *loader) readTypes() error {
	types, ok := l.r.Ints(keyTypes)
	if err := l.r.Err(); err != nil {
		return err
	}
	if !ok {
		return nil
	}
	l.typed = true
	if types.Len() != len(l.t.flags) {
		return damaged("%d token types (key %s) for %d tokens", types.Len(), keyTypes, len(l.t.flags))
	}
	for i, v := range types.All() {
		if v < 0 || v >= int64(len(typeFlags)) {
			return damaged("token %d has type %d; types are 0 to %d", i, v, len(typeFlags)-1)
		}
		l.t.flags[i] = typeFlags[v]
		if _, ok := byteValue(l.texts.at(int32(i))); v == 6 && !ok {
			return damaged("token %d is of type byte, but its text %q is none of <0x00> to <0xFF>", i, clip(string(l.texts.at(int32(i)))))
		}
	}
	return nil
}

// byteValue reads a text of the form <0xAB>.
func byteValue(text []byte) (byte, bool) {
	if len(text) != 6 || text[0] != '<' || text[1] != '0' || text[2] != 'x' || text[5] != '>' {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, lower(text[3])), strings.IndexByte(hexDigits, lower(text[4]))
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

const hexDigits = "0123456789abcdef"

func lower(b byte) byte {
	if b >= 'A' && b <= 'F' {
		return b + 'a' - 'A'
	}
	return b
}

// spell turns the texts of the file into the bytes that tokens stand for.
func (l *loader) spell() error {
	t := l.t
	alphabet := newAlphabet()
	t.str = newStrTable(l.texts.len(), len(l.texts.arena))
	var buf []byte
	for id := range int32(l.texts.len()) {
		text := l.texts.at(id)
		buf = buf[:0]
		value, hex := byteValue(text)
		switch {
		case t.flags[id]&isByte != 0, t.raw && t.kind != wpm && !l.typed && hex:
			t.flags[id] |= isByte
			buf = append(buf, value)
		case t.flags[id]&isSpecial != 0, !t.raw && t.flags[id]&isUser != 0:
			buf = append(buf, text...)
		case t.raw:
			buf = appendUnescaped(buf, text)
		default:
			var ok bool
			if buf, ok = alphabet.decode(buf, text); !ok {
				buf = append(buf[:0], text...) // not made of the alphabet: such a token is never found in text
			}
		}
		t.str.append(buf)
	}
	arena := make([]byte, len(t.str.arena)) // without the room that escapes took
	copy(arena, t.str.arena)
	t.str.arena = arena
	return nil
}

// findBytes fills byteID.
func (l *loader) findBytes() error {
	t := l.t
	alphabet := newAlphabet()
	for b := range len(t.byteID) {
		name := string(alphabet.runes[b])
		if t.raw {
			name = fmt.Sprintf("<0x%02X>", b)
		}
		t.byteID[b] = -1
		if id := l.byText.find(&l.texts, []byte(name)); id >= 0 && t.flags[id]&isSpecial == 0 {
			t.byteID[b] = id
		}
	}
	return nil
}

// alphabet is the map between bytes and the visible characters that spell them in the texts of byte-level BPE, from
// bytes_to_unicode of GPT-2's encoder.py: printable characters of Latin-1 stand for themselves, the others follow from U+0100.
type alphabet struct {
	runes [256]rune  // (byte)
	bytes [0x144]int // (rune) -1 if it is not in the alphabet
}

func newAlphabet() *alphabet {
	a := new(alphabet)
	for i := range a.bytes {
		a.bytes[i] = -1
	}
	next := rune(0x100)
	for b := range len(a.runes) {
		r := rune(b)
		if r < 0x21 || r > 0x7E && r < 0xA1 || r == 0xAD {
			r = next
			next++
		}
		a.runes[b], a.bytes[r] = r, b
	}
	return a
}

// decode appends the bytes that text spells; ok is false if a character is not in the alphabet.
func (a *alphabet) decode(dst, text []byte) (out []byte, ok bool) {
	for _, r := range string(text) {
		if int(r) >= len(a.bytes) || a.bytes[r] < 0 {
			return dst, false
		}
		dst = append(dst, byte(a.bytes[r]))
	}
	return dst, true
}
