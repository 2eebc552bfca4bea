// Package kernels holds the hand-made inner loops for amd64: AVX2 (with FMA and F16C), AVX-VNNI and AVX-512 VNNI. Each
// exported function serves a field of kernel.Set for one instruction set; package model/kernel chooses among them and
// nobody else imports this package. Calling a function on a CPU without its instruction set kills the process: ask HasAVX2,
// HasAVXVNNI or HasAVX512VNNI first.
//
// The wrappers check lengths (a violation is a bug of the caller and panics) and cut the work into calls of well under
// 250 microseconds, because assembly cannot be preempted. Nothing is allocated, no pointer needs an alignment, and no byte
// outside the given slices is read or written.
//
// Results do not depend on how work is cut: one element has the same bits whatever the number of rows, activation rows or
// positions of the call, and whether rows are packed. The 8-bit products keep the order of float operations of the scalar
// reference, model/quant, because vector lanes are rows; only fused multiply-adds round once. Float products use
// the reference's eight partial sums, but fused multiply-add.
//
// The .s files and stubs_amd64.go are written by the program in _asm. Instruction facts: Intel SDM volume 2 and AMD APM
// volume 4, read 2026-11; block layouts: ggml-common.h.
package kernels
