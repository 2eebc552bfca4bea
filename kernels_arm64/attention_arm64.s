//go:build !purego

// The steps of attention over a page, plain NEON; model/quant/attention.go defines what each computes and the layouts. None
// reads or writes beyond what it states, none needs alignment.

#include "textflag.h"
#include "neon_arm64.h"

// The tile products for 1 to 4 rows have the signature
//
//	func tileProductNEON<rows>(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)
//
// and compute, for 16 columns j and each row r, in increasing i:
//
//	c[r*cStride/4 + j] = fma(a[r*aStride/4 + i], b[i*bStride/4 + j], scale[r]*c[...] or 0)    i < k
//
// Strides are in bytes, k is positive; without scale (nil) the sum begins with 0. Registers: R0-R3 rows of c, R4-R7 rows of
// a, R8 b, R9 bStride, R10 left, R11 scale, R12 scratch; V0-V15 sums, four per row; V16-V19 factors, V20-V23 a row of b.

#define PRODUCT_START \
	MOVD c+0(FP), R0; \
	MOVD cStride+8(FP), R12; \
	ADD R12, R0, R1; \
	ADD R12, R1, R2; \
	ADD R12, R2, R3; \
	MOVD a+16(FP), R4; \
	MOVD aStride+24(FP), R12; \
	ADD R12, R4, R5; \
	ADD R12, R5, R6; \
	ADD R12, R6, R7; \
	MOVD b+32(FP), R8; \
	MOVD bStride+40(FP), R9; \
	MOVD k+48(FP), R10; \
	MOVD scale+56(FP), R11

#define COLUMNS \
	VLD1 (R8), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	ADD R9, R8

#define CLEAR(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// f is the number of the register of the factor, a to d those of the sums.
#define ADD_ROW(f, a, b, c, d) \
	FMLAE_4S(0, f, 20, a); \
	FMLAE_4S(0, f, 21, b); \
	FMLAE_4S(0, f, 22, c); \
	FMLAE_4S(0, f, 23, d)

#define SCALE_ROW(a, b, c, d) \
	FMOVS.P 4(R11), F16; \
	FMULE_4S(0, 16, a, a); \
	FMULE_4S(0, 16, b, b); \
	FMULE_4S(0, 16, c, c); \
	FMULE_4S(0, 16, d, d)

// func tileProductNEON1(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)
TEXT ·tileProductNEON1(SB), NOSPLIT, $0-64
	PRODUCT_START
	CBZ R11, zero
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	SCALE_ROW(0, 1, 2, 3)
	B depth

zero:
	CLEAR(V0, V1, V2, V3)

depth:
	FMOVS.P 4(R4), F16
	COLUMNS
	ADD_ROW(16, 0, 1, 2, 3)
	SUBS $1, R10
	BNE depth
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

// func tileProductNEON2(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)
TEXT ·tileProductNEON2(SB), NOSPLIT, $0-64
	PRODUCT_START
	CBZ R11, zero
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	SCALE_ROW(0, 1, 2, 3)
	SCALE_ROW(4, 5, 6, 7)
	B depth

zero:
	CLEAR(V0, V1, V2, V3)
	CLEAR(V4, V5, V6, V7)

depth:
	FMOVS.P 4(R4), F16
	FMOVS.P 4(R5), F17
	COLUMNS
	ADD_ROW(16, 0, 1, 2, 3)
	ADD_ROW(17, 4, 5, 6, 7)
	SUBS $1, R10
	BNE depth
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R1)
	RET

// func tileProductNEON3(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)
TEXT ·tileProductNEON3(SB), NOSPLIT, $0-64
	PRODUCT_START
	CBZ R11, zero
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1 (R2), [V8.S4, V9.S4, V10.S4, V11.S4]
	SCALE_ROW(0, 1, 2, 3)
	SCALE_ROW(4, 5, 6, 7)
	SCALE_ROW(8, 9, 10, 11)
	B depth

zero:
	CLEAR(V0, V1, V2, V3)
	CLEAR(V4, V5, V6, V7)
	CLEAR(V8, V9, V10, V11)

depth:
	FMOVS.P 4(R4), F16
	FMOVS.P 4(R5), F17
	FMOVS.P 4(R6), F18
	COLUMNS
	ADD_ROW(16, 0, 1, 2, 3)
	ADD_ROW(17, 4, 5, 6, 7)
	ADD_ROW(18, 8, 9, 10, 11)
	SUBS $1, R10
	BNE depth
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R1)
	VST1 [V8.S4, V9.S4, V10.S4, V11.S4], (R2)
	RET

// func tileProductNEON4(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)
TEXT ·tileProductNEON4(SB), NOSPLIT, $0-64
	PRODUCT_START
	CBZ R11, zero
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1 (R2), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1 (R3), [V12.S4, V13.S4, V14.S4, V15.S4]
	SCALE_ROW(0, 1, 2, 3)
	SCALE_ROW(4, 5, 6, 7)
	SCALE_ROW(8, 9, 10, 11)
	SCALE_ROW(12, 13, 14, 15)
	B depth

zero:
	CLEAR(V0, V1, V2, V3)
	CLEAR(V4, V5, V6, V7)
	CLEAR(V8, V9, V10, V11)
	CLEAR(V12, V13, V14, V15)

depth:
	FMOVS.P 4(R4), F16
	FMOVS.P 4(R5), F17
	FMOVS.P 4(R6), F18
	FMOVS.P 4(R7), F19
	COLUMNS
	ADD_ROW(16, 0, 1, 2, 3)
	ADD_ROW(17, 4, 5, 6, 7)
	ADD_ROW(18, 8, 9, 10, 11)
	ADD_ROW(19, 12, 13, 14, 15)
	SUBS $1, R10
	BNE depth
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R1)
	VST1 [V8.S4, V9.S4, V10.S4, V11.S4], (R2)
	VST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R3)
	RET

// Constants of POWER: coefficients 5 to 1 of 2^r, those of exp for r ln 2 (error 1.1e-7); 1; the lowest exponent.
DATA powerTable<>+0(SB)/4, $0x3aae5427
DATA powerTable<>+4(SB)/4, $0x3c1e6de8
DATA powerTable<>+8(SB)/4, $0x3d6359d8
DATA powerTable<>+12(SB)/4, $0x3e75fcf8
DATA powerTable<>+16(SB)/4, $0x3f317218
DATA powerTable<>+20(SB)/4, $0x3f800000
DATA powerTable<>+24(SB)/4, $0xc2fc0000
GLOBL powerTable<>(SB), RODATA|NOPTR, $28

// V6, V7 = 2^V0, 2^V1, four values each; V0-V9 are used up, V16-V22 are the constants. With n = round(x) and r = x - n,
// 2^r is the polynomial and n is added to its exponent. Below -126 the result is 0, NaN stays NaN; no argument is positive.
#define POWER \
	FCMGT_4S(0, 22, 2); \
	FCMGT_4S(1, 22, 3); \
	FCVTNS_4S(0, 4); \
	FCVTNS_4S(1, 5); \
	SCVTF_4S(4, 6); \
	SCVTF_4S(5, 7); \
	FSUB_4S(6, 0, 0); \
	FSUB_4S(7, 1, 1); \
	HORNER(V17, 16, 16, V6, V7, 6, 7); \
	HORNER(V18, 6, 7, V8, V9, 8, 9); \
	HORNER(V19, 8, 9, V6, V7, 6, 7); \
	HORNER(V20, 6, 7, V8, V9, 8, 9); \
	HORNER(V21, 8, 9, V6, V7, 6, 7); \
	VSHL $23, V4.S4, V4.S4; \
	VSHL $23, V5.S4, V5.S4; \
	VADD V4.S4, V6.S4, V6.S4; \
	VADD V5.S4, V7.S4, V7.S4; \
	BIC_16B(2, 6, 6); \
	BIC_16B(3, 7, 7)

// d, e (the registers numbered dn, en) = c + p*V0, c + q*V1.
#define HORNER(c, p, q, d, e, dn, en) \
	VMOV c.B16, d.B16; \
	VMOV c.B16, e.B16; \
	FMLA_4S(p, 0, dn); \
	FMLA_4S(q, 1, en)

// func softmaxTileNEON(scores *float32, m, cols int, top, sum, scale *float32)
//
// quant.SoftmaxTile for m rows of 64 scores, of which the first cols are looked at, a positive multiple of 16. Relative
// error of a power at most 5e-7. Registers: R0 row, R1 rows left, R2 cols, R3 top, R4 sum, R5 place in the row, R6 scale, R7
// columns left; V16-V22 constants, V24-V27 sums, V28 the maximum before, V29 now, V30 how far it moved.
TEXT ·softmaxTileNEON(SB), NOSPLIT, $0-48
	MOVD scores+0(FP), R0
	MOVD m+8(FP), R1
	MOVD cols+16(FP), R2
	MOVD top+24(FP), R3
	MOVD sum+32(FP), R4
	MOVD scale+40(FP), R6
	MOVD $powerTable<>(SB), R9
	VLD1R.P 4(R9), [V16.S4]
	VLD1R.P 4(R9), [V17.S4]
	VLD1R.P 4(R9), [V18.S4]
	VLD1R.P 4(R9), [V19.S4]
	VLD1R.P 4(R9), [V20.S4]
	VLD1R.P 4(R9), [V21.S4]
	VLD1R.P 4(R9), [V22.S4]

row:
	VLD1R (R3), [V28.S4]
	VMOV V28.B16, V29.B16
	MOVD R0, R5
	MOVD R2, R7

largest:
	VLD1.P 64(R5), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMAX_4S(1, 0, 0)
	FMAX_4S(3, 2, 2)
	FMAX_4S(0, 29, 29)
	FMAX_4S(2, 29, 29)
	SUBS $16, R7
	BNE largest
	FMAXV_4S(29, 29)
	VDUP V29.S[0], V29.S4
	FMOVS.P F29, 4(R3)
	FSUB_4S(29, 28, 0)
	VMOV V0.B16, V1.B16
	POWER
	FMOVS.P F6, 4(R6)
	VMOV V6.B16, V30.B16
	VLD1 (R4), [V24.S4, V25.S4, V26.S4, V27.S4]
	FMUL_4S(30, 24, 24)
	FMUL_4S(30, 25, 25)
	FMUL_4S(30, 26, 26)
	FMUL_4S(30, 27, 27)
	MOVD R0, R5
	MOVD R2, R7

powers:
	VLD1 (R5), [V0.S4, V1.S4]
	FSUB_4S(29, 0, 0)
	FSUB_4S(29, 1, 1)
	POWER
	FADD_4S(6, 24, 24)
	FADD_4S(7, 25, 25)
	VST1.P [V6.S4, V7.S4], 32(R5)
	VLD1 (R5), [V0.S4, V1.S4]
	FSUB_4S(29, 0, 0)
	FSUB_4S(29, 1, 1)
	POWER
	FADD_4S(6, 26, 26)
	FADD_4S(7, 27, 27)
	VST1.P [V6.S4, V7.S4], 32(R5)
	SUBS $16, R7
	BNE powers
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R4)
	ADD $256, R0
	SUBS $1, R1
	BNE row
	RET

// func foldRowsNEON(dst, src *float32, width, m int, keep, add *float32)
//
// dst[r*width+j] = fma(keep[r], dst[r*width+j], add[r]*src[r*width+j]) for r < m, j < width, a positive multiple of 16.
// Registers: R0 dst, R1 src, R2 width, R3 rows left, R4 keep, R5 add, R6 columns left.
TEXT ·foldRowsNEON(SB), NOSPLIT, $0-48
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD width+16(FP), R2
	MOVD m+24(FP), R3
	MOVD keep+32(FP), R4
	MOVD add+40(FP), R5

row:
	FMOVS.P 4(R4), F16
	FMOVS.P 4(R5), F17
	MOVD R2, R6

columns:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMULE_4S(0, 17, 4, 4)
	FMULE_4S(0, 17, 5, 5)
	FMULE_4S(0, 17, 6, 6)
	FMULE_4S(0, 17, 7, 7)
	FMLAE_4S(0, 16, 0, 4)
	FMLAE_4S(0, 16, 1, 5)
	FMLAE_4S(0, 16, 2, 6)
	FMLAE_4S(0, 16, 3, 7)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	SUBS $16, R6
	BNE columns
	SUBS $1, R3
	BNE row
	RET

// func keyTileF16NEON(dst *float32, src, ahead *byte, dim, panels int)
//
// Panels of binary16 keys, (panels, dim, 16), to columns of dst, (dim, 64); dim is even. ahead is prefetched in step with
// src. Registers: R0 dst, R1 src, R2 ahead, R3 dim, R4 panels left, R5 place in dst, R6 columns left, R7 bytes of a row.
TEXT ·keyTileF16NEON(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD ahead+16(FP), R2
	MOVD dim+24(FP), R3
	MOVD panels+32(FP), R4
	MOVD $256, R7

panel:
	MOVD R0, R5
	MOVD R3, R6

column:
	PRFM (R2), PLDL1KEEP
	ADD $64, R2
	VLD1.P 64(R1), [V0.H8, V1.H8, V2.H8, V3.H8]
	FCVTL_4S(0, 4)
	FCVTL2_4S(0, 5)
	FCVTL_4S(1, 6)
	FCVTL2_4S(1, 7)
	FCVTL_4S(2, 16)
	FCVTL2_4S(2, 17)
	FCVTL_4S(3, 18)
	FCVTL2_4S(3, 19)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R5)
	ADD R7, R5
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R5)
	ADD R7, R5
	SUBS $2, R6
	BNE column
	ADD $64, R0
	SUBS $1, R4
	BNE panel
	RET

// func valueTileF16NEON(dst *float32, src, ahead *byte, dim, n int)
//
// n rows of binary16 values, (n, dim), to rows of dst whose length is dim rounded up to 16; what is beyond dim stays. dim is
// a multiple of 8. Registers: R0 dst, R1 src, R2 ahead, R3 dim, R4 rows left, R5 columns left.
TEXT ·valueTileF16NEON(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD ahead+16(FP), R2
	MOVD dim+24(FP), R3
	MOVD n+32(FP), R4

row:
	SUBS $16, R3, R5
	BLT rest

columns:
	PRFM (R2), PLDL1KEEP
	ADD $32, R2
	VLD1.P 32(R1), [V0.H8, V1.H8]
	FCVTL_4S(0, 4)
	FCVTL2_4S(0, 5)
	FCVTL_4S(1, 6)
	FCVTL2_4S(1, 7)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	SUBS $16, R5
	BGE columns

rest:
	ADDS $16, R5
	BEQ end
	VLD1.P 16(R1), [V0.H8]
	ADD $16, R2
	FCVTL_4S(0, 4)
	FCVTL2_4S(0, 5)
	VST1 [V4.S4, V5.S4], (R0)
	ADD $64, R0

end:
	SUBS $1, R4
	BNE row
	RET

// func rotateNEON(x *float32, heads, stride, pairs int, cos, sin *float32, scale float32)
//
// Turns the first pairs of adjacent columns (a, b) of each head to (c*a - s*b, s*a + c*b), the second product fused, and
// multiplies by scale. stride is in bytes; pairs is a positive multiple of 4. Registers: R0 x, R1 heads left, R2 stride, R3
// pairs, R4 cos, R5 sin, R6 place in x, R7 in cos, R8 in sin, R9 pairs left, F16 scale.
TEXT ·rotateNEON(SB), NOSPLIT, $0-52
	MOVD x+0(FP), R0
	MOVD heads+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD pairs+24(FP), R3
	MOVD cos+32(FP), R4
	MOVD sin+40(FP), R5
	FMOVS scale+48(FP), F16

head:
	MOVD R0, R6
	MOVD R4, R7
	MOVD R5, R8
	MOVD R3, R9

four:
	VLD2 (R6), [V0.S4, V1.S4]
	VLD1.P 16(R7), [V2.S4]
	VLD1.P 16(R8), [V3.S4]
	FMUL_4S(2, 0, 4)
	FMUL_4S(2, 1, 5)
	FMLS_4S(3, 1, 4)
	FMLA_4S(3, 0, 5)
	FMULE_4S(0, 16, 4, 4)
	FMULE_4S(0, 16, 5, 5)
	VST2.P [V4.S4, V5.S4], 32(R6)
	SUBS $4, R9
	BNE four
	ADD R2, R0
	SUBS $1, R1
	BNE head
	RET
