// Package tokenizer turns text into token ids and back, for the vocabulary that a model file carries. The kinds
// are byte-level BPE (tokenizer.ggml.model "gpt2") with the pre-tokenizer rules that pre.go lists, BPE of UTF-8 ("gemma4"),
// SentencePiece BPE ("llama") and Unigram ("t5"), and WordPiece ("bert"). It does no I/O and keeps no reference to the file.
//
// Untrusted text can never become a control token: EncodePieces takes text with a mark, and only trusted pieces are searched
// for special tokens. That holds behind the search, too: no merge and no look-up in the tables gives the id of a control
// token, so no spelling of one in a user's text does.
//
// Text that is not valid UTF-8 is encoded as if every byte that is not part of a valid character was U+FFFD (each piece of
// EncodePieces by itself). Letters, numbers, punctuation and white space are those of Go's unicode package (Unicode 15.0 in
// Go 1.26); white space is the White_Space property.
//
// Sources of facts: llama.cpp at 0c1e57098 (2026-10-01), src/llama-vocab.cpp and src/unicode.cpp, for the rules, the names of
// pre-tokenizers, defaults and end-of-generation texts; the tokenizer.json files of the models for the original regular
// expressions, which the tests hold against the hand-written splitters; SentencePiece for what is in the merge vocabulary.
// Deliberate differences to llama.cpp: gpt-4o, tekken and tiny_aya split by the expressions of the original tokenizers, not by
// its approximations; WordPiece takes out control characters before it looks for white space, strips only non-spacing marks
// and gives up on words of more than 100 characters, as BERT does; a text ends with one token, separator or end of sequence; special tokens are found leftmost-longest, as the original tokenizers do, not longest
// first; control, unknown and byte tokens take no part in merges, as in SentencePiece; a gpt2 vocabulary without
// bos_token_id has none, where llama.cpp assumes 11; ids out of range and merges of unknown tokens are errors.
package tokenizer
