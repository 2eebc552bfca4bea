// Package sample turns logits into the next token.
//
// The chain, its order and the meaning of every parameter are those of llama.cpp (common/common.h, src/llama-sampling.cpp,
// read as of 2026-10): logit bias, penalties, DRY, top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature (fixed or following the
// entropy), and one draw from what is left, plain or by adaptive-p. Mirostat replaces all of it but bias and temperature. With a temperature of 0 or less the most probable survivor is taken and nothing is drawn.
//
// Two things are stricter than there. Equal logits are ordered by token id, the lowest first, so that no step depends on
// the order in which a sort happens to leave them. And all arithmetic is done in an order and precision that is the same
// on every architecture (no fused multiply-add, an exp and a log of this package), so that equal logits and an equal seed
// give an equal token everywhere.
//
// The package has no clock, no global random source and no I/O; it never allocates in Sample or Accept.
package sample
