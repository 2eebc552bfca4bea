//go:build !purego

// Attention-weighted sums of binary16 values, plain NEON. The functions for 1 to 4 heads have the signature
//
//	func weightedSumF16NEON<heads>(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)
//
// and compute, for eight columns i and each head g, in increasing position:
//
//	dst[g*dstStride/4 + i] = fma(p[g*pStride/4 + pos], float32(v[pos*vStride + 2*i]), dst[...])    pos < nPos
//
// Strides are in bytes, nPos is positive. Registers: R0-R3 dst of the heads, R4-R7 p of the heads, R8 v, R9 vStride, R10
// positions left, R11 scratch; V0-V7 sums, two per head; V16, V17 the values, V18-V21 the weights.
// Over-read: none, eight values of a row are 16 bytes. Tolerance: one rounding per position.

#include "textflag.h"
#include "neon_arm64.h"

#define START \
	MOVD dst+0(FP), R0; \
	MOVD dstStride+8(FP), R11; \
	ADD R11, R0, R1; \
	ADD R11, R1, R2; \
	ADD R11, R2, R3; \
	MOVD p+16(FP), R4; \
	MOVD pStride+24(FP), R11; \
	ADD R11, R4, R5; \
	ADD R11, R5, R6; \
	ADD R11, R6, R7; \
	MOVD v+32(FP), R8; \
	MOVD vStride+40(FP), R9; \
	MOVD nPos+48(FP), R10

#define VALUES \
	FMOVQ (R8), F17; \
	ADD R9, R8; \
	FCVTL_4S(17, 16); \
	FCVTL2_4S(17, 17)

#define ADD_HEAD(w, lo, hi) \
	FMLAE_4S(0, w, 16, lo); \
	FMLAE_4S(0, w, 17, hi)

// func weightedSumF16NEON1(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)
TEXT ·weightedSumF16NEON1(SB), NOSPLIT, $0-56
	START
	VLD1 (R0), [V0.S4, V1.S4]

position:
	FMOVS.P 4(R4), F18
	VALUES
	ADD_HEAD(18, 0, 1)
	SUBS $1, R10
	BNE position
	VST1 [V0.S4, V1.S4], (R0)
	RET

// func weightedSumF16NEON2(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)
TEXT ·weightedSumF16NEON2(SB), NOSPLIT, $0-56
	START
	VLD1 (R0), [V0.S4, V1.S4]
	VLD1 (R1), [V2.S4, V3.S4]

position:
	FMOVS.P 4(R4), F18
	FMOVS.P 4(R5), F19
	VALUES
	ADD_HEAD(18, 0, 1)
	ADD_HEAD(19, 2, 3)
	SUBS $1, R10
	BNE position
	VST1 [V0.S4, V1.S4], (R0)
	VST1 [V2.S4, V3.S4], (R1)
	RET

// func weightedSumF16NEON3(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)
TEXT ·weightedSumF16NEON3(SB), NOSPLIT, $0-56
	START
	VLD1 (R0), [V0.S4, V1.S4]
	VLD1 (R1), [V2.S4, V3.S4]
	VLD1 (R2), [V4.S4, V5.S4]

position:
	FMOVS.P 4(R4), F18
	FMOVS.P 4(R5), F19
	FMOVS.P 4(R6), F20
	VALUES
	ADD_HEAD(18, 0, 1)
	ADD_HEAD(19, 2, 3)
	ADD_HEAD(20, 4, 5)
	SUBS $1, R10
	BNE position
	VST1 [V0.S4, V1.S4], (R0)
	VST1 [V2.S4, V3.S4], (R1)
	VST1 [V4.S4, V5.S4], (R2)
	RET

// func weightedSumF16NEON4(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)
TEXT ·weightedSumF16NEON4(SB), NOSPLIT, $0-56
	START
	VLD1 (R0), [V0.S4, V1.S4]
	VLD1 (R1), [V2.S4, V3.S4]
	VLD1 (R2), [V4.S4, V5.S4]
	VLD1 (R3), [V6.S4, V7.S4]

position:
	FMOVS.P 4(R4), F18
	FMOVS.P 4(R5), F19
	FMOVS.P 4(R6), F20
	FMOVS.P 4(R7), F21
	VALUES
	ADD_HEAD(18, 0, 1)
	ADD_HEAD(19, 2, 3)
	ADD_HEAD(20, 4, 5)
	ADD_HEAD(21, 6, 7)
	SUBS $1, R10
	BNE position
	VST1 [V0.S4, V1.S4], (R0)
	VST1 [V2.S4, V3.S4], (R1)
	VST1 [V4.S4, V5.S4], (R2)
	VST1 [V6.S4, V7.S4], (R3)
	RET

// func weightedSumF16One(dst, p *float32, v *byte, vStride, nPos int)
//
// The same for one head and one column: the columns beyond the last eight. Registers: R0 dst, R1 p, R2 v, R3 vStride, R4
// left, R5 the bits of a value.
TEXT ·weightedSumF16One(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD p+8(FP), R1
	MOVD v+16(FP), R2
	MOVD vStride+24(FP), R3
	MOVD nPos+32(FP), R4
	FMOVS (R0), F0

position:
	FMOVS.P 4(R1), F1
	MOVHU (R2), R5
	ADD R3, R2
	FMOVS R5, F2
	FCVTHS F2, F2
	FMADDS F2, F0, F1, F0
	SUBS $1, R4
	BNE position
	FMOVS F0, (R0)
	RET
