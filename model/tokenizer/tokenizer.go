package tokenizer

import (
	"errors"
	"sync"
	"unicode/utf8"
)

// Errors of FromGGUF, with the reason wrapped around them.
var (
	ErrUnsupported = errors.New("unsupported tokenizer") // a kind or a pre-tokenizer that this package does not have
	ErrVocabulary  = errors.New("damaged vocabulary")    // the file contradicts itself
)

// Tokenizer is the vocabulary of one model and the rules for applying it. It does not change: all methods are safe for
// concurrent use.
type Tokenizer struct {
	kind    kind
	raw     bool // the file spells tokens in UTF-8 with U+2581 for spaces, not in the alphabet of byte-level BPE
	warning string

	str    strTable   // bytes that each token stands for; control tokens: their text
	flags  []flags    // (token)
	byteID [256]int32 // token of a byte by itself, -1 if there is none
	match  matcher    // tokens that are found in text as they are

	rule    rule       // BPE: how text is cut into pieces
	classes *classes   // BPE
	merges  mergeTable // BPE

	score       []uint32 // SPM: (token) rank by score, lower is better
	maxPiece    int      // SPM: length of the longest token in index
	wordwise    bool     // SPM: no token in index has a space after another character, so words can be merged one by one
	spacePrefix bool     // text starts with a space that is not in it; else only answers do (wordStart)

	wpm wpmOptions
	ugm unigram

	index strIndex // tokens that plain text can become, by str; all kinds but UGM and BPE without rule.ignoreMerges

	bos, eos, sep, unk     int32 // -1 if there is none
	addBOS, addEOS, addSEP bool
	suppressed             []int32
	infill                 [3]int32 // before prefix, suffix and middle of a text with a gap; -1 if there is none

	pool sync.Pool // of *scratch
}

// kind is a way from text to tokens.
type kind uint8

const (
	bpe kind = iota // byte-level BPE, and BPE of UTF-8 (rule.raw)
	spm             // SentencePiece BPE
	wpm             // WordPiece
	ugm             // Unigram
)

// Options says what Encode does beyond plain text.
type Options struct {
	Special bool // control tokens in the text are parsed: only for text that nobody else wrote
	BOS     bool // add the tokens that begin and end a text, where the model's file asks for them
}

// Piece is a part of a prompt. Special tokens in a trusted piece are parsed; nothing in an untrusted one becomes a control
// token.
type Piece struct {
	Text    string
	Trusted bool
}

// Encode appends the tokens of text to dst. Without Special, control tokens in the text are plain text; tokens that the
// model's makers added as user-defined are found either way, as the original tokenizers do. Untrusted text belongs in
// EncodePieces, which does not do that either.
func (t *Tokenizer) Encode(dst []int32, text string, opt Options) []int32 {
	s := t.borrow(dst)
	mask := isUser
	if opt.Special {
		mask |= isSpecial
	}
	s.text = appendValid(s.text, text)
	s.spans = append(s.spans, span{len(s.text), mask})
	if opt.BOS && t.addBOS {
		s.out = append(s.out, t.bos)
	}
	t.encodeText(s)
	if opt.BOS {
		s.out = t.appendEnd(s.out)
	}
	return t.giveBack(s)
}

// appendEnd appends the token that ends a text where the model's file asks for one: one only, because in the vocabularies of
// RoBERTa the separator is the end of the sequence.
func (t *Tokenizer) appendEnd(dst []int32) []int32 {
	switch {
	case t.addSEP && (t.kind == wpm || !t.addEOS):
		return append(dst, t.sep)
	case t.addEOS:
		return append(dst, t.eos)
	}
	return dst
}

// EncodePieces appends the tokens of a prompt made of pieces to dst, with the token that begins a text in front if bos is set
// and the model's file asks for one. The pieces are one text: where no untrusted piece holds the text of a special token, the
// result is that of the joined text with Special. In untrusted pieces nothing is parsed but user-defined tokens of white space
// alone, such as runs of spaces; a special token that is spelled across the border to an untrusted piece is not parsed.
func (t *Tokenizer) EncodePieces(dst []int32, pieces []Piece, bos bool) []int32 {
	s := t.borrow(dst)
	for _, p := range pieces {
		if p.Text == "" {
			continue // not a border
		}
		s.text = appendValid(s.text, p.Text)
		mask := flags(0)
		if p.Trusted {
			mask = isSpecial | isUser
		}
		if n := len(s.spans); n > 0 && s.spans[n-1].mask == mask {
			s.spans[n-1].end = len(s.text)
		} else {
			s.spans = append(s.spans, span{len(s.text), mask})
		}
	}
	if bos && t.addBOS {
		s.out = append(s.out, t.bos)
	}
	t.encodeText(s)
	return t.giveBack(s)
}

// appendValid appends text with U+FFFD in place of each byte that is not part of a valid character.
func appendValid(dst []byte, text string) []byte {
	if utf8.ValidString(text) {
		return append(dst, text...)
	}
	for _, r := range text {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// VocabSize is the number of tokens; ids are 0 to VocabSize-1.
func (t *Tokenizer) VocabSize() int { return t.str.len() }

func (t *Tokenizer) has(id int32) bool { return id >= 0 && int(id) < len(t.flags) }

// TokenBytes is what token id stands for; for a control token it is the token's name. It need not be valid UTF-8, must not be
// modified, and is nil for an id that is out of range.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if !t.has(id) {
		return nil
	}
	return t.str.at(id)
}

// IsControl tells whether id is a control token: one that has a meaning and no text.
func (t *Tokenizer) IsControl(id int32) bool { return t.has(id) && t.flags[id]&isControl != 0 }

// IsEOG tells whether id ends generation.
func (t *Tokenizer) IsEOG(id int32) bool { return t.has(id) && t.flags[id]&isEOG != 0 }

// BOS is the token that begins a text, if the vocabulary has one. Whether it is added is another question: see Options.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.bos, t.bos >= 0 }

// EOS is the token that ends a text, if the vocabulary has one.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.eos, t.eos >= 0 }

// EncodeInfill appends a prompt that asks for the text between prefix and suffix (Bavarian et al. 2022, arXiv 2207.14255, order PSM);
// ok is false if the vocabulary has no tokens for that. Control tokens in the texts are plain text.
func (t *Tokenizer) EncodeInfill(dst []int32, prefix, suffix string) (ids []int32, ok bool) {
	for _, id := range t.infill {
		if id < 0 {
			return dst, false
		}
	}
	if t.addBOS {
		dst = append(dst, t.bos)
	}
	dst = t.EncodePieces(append(dst, t.infill[0]), []Piece{{Text: prefix}}, false)
	dst = t.EncodePieces(append(dst, t.infill[1]), []Piece{{Text: suffix}}, false)
	return append(dst, t.infill[2]), true
}

// Suppressed are the tokens that the model's makers never want to be sampled. It must not be modified.
func (t *Tokenizer) Suppressed() []int32 { return t.suppressed }

// Warning is a sentence for people about what is doubtful in the file, empty if nothing is.
func (t *Tokenizer) Warning() string { return t.warning }

// StateBytes is the memory that the tables take. Nothing of the model's file is referenced.
func (t *Tokenizer) StateBytes() int {
	n := t.str.stateBytes() + cap(t.flags) + 4*len(t.byteID) + 4*cap(t.match.ids) + 4*len(t.match.first) + len(t.match.starts)
	n += t.merges.stateBytes() + 4*cap(t.score) + 4*cap(t.index.slots) + 4*cap(t.suppressed)
	n += 4*cap(t.ugm.words.ids) + 4*len(t.ugm.words.first) + 4*cap(t.ugm.score) + cap(t.ugm.charsmap.units) + cap(t.ugm.charsmap.texts)
	if t.classes != nil {
		n += t.classes.stateBytes()
	}
	return n
}
