// Package recurrent holds the layers that remember a sequence in a state of fixed size instead of keys and values, and runs
// them: the gated short convolution of LFM2, the gated delta rule of Qwen3.5 and the selective scan of Mamba-2. What lies
// before and after them, projections and residual stream, is the model's.
//
// The matrices of the delta rule and of Mamba-2 follow one recurrence. With the state S (rows, cols) of a head, a decay a,
// a key k and a query q (cols) and a value v (rows):
//
//	u = gain * v                       Mamba-2 (Dao and Gu 2024, arXiv 2405.21060, section 3.1, one head)
//	u = gain * (v - a * S k)           gated delta rule (Yang, Kautz, Hatamizadeh 2024, arXiv 2412.06464, equation 10)
//	S = a * S + u kᵀ
//	o = S q
//
// Rows of S depend on each other nowhere, so a worker takes some of them through all rows of a pass while they are in its
// cache. Tokens are taken one after the other, in a pass of many rows too: a token's result is then the same to the bit in
// any pass, which the rest of the program relies on (drafts change no answer). The chunked forms of the papers are not.
//
// A state cannot be truncated. It is kept at the last token that is certain; behind it, the inputs of the tokens that
// were marked as drafts are logged, and the next pass applies those that were kept. Further back there are checkpoints:
// copies of the state that the caller asks for. See daemon/doc/decisions/0017-recurrent-state.md for the sizes.
//
// The package allocates in New alone and starts no goroutine.
package recurrent
