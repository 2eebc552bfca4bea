// Package quant is the definition of right for number formats: the ids and block layouts of ggml's tensor types, binary16
// and bfloat16 conversion, the 8-bit form of activations, and plain scalar products that the hand-made kernels are tested
// against and that run where there is no kernel.
//
// It holds no state and does no I/O. Multiplications that feed an addition are rounded to float32 explicitly, so that
// no compiler fuses them and the values are the same on every machine.
//
// Source of ids, sizes and layouts: llama.cpp at 0c1e57098 (2026-10-01), ggml/include/ggml.h and ggml/src/ggml-common.h.
package quant
