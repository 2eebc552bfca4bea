//go:build !purego

// Attention over keys and values in 8 or 4 bits, plain NEON; model/quant/kv.go has the layouts, model/quant/attention.go says
// what is computed. None reads or writes beyond what it states, none needs alignment.

#include "textflag.h"
#include "neon_arm64.h"

// The sums for 1 to 4 rows have the signature
//
//	func panelSumsQ<bits>NEON<rows>(sum *int32, src, ahead, q *byte, stride, eights int)
//
// and compute, for the 16 lanes of a panel of fours, src (fours, 16, 4), and each row of q, int16:
//
//	sum[r*16 + lane] = sum over i < 8*eights of q[r*stride/2 + i] * (value i of the lane, 0 to 255 or 0 to 15)
//
// stride is in bytes. ahead is prefetched in step with src. VLD4 gives the lanes of one value a register, so sums need no
// addition over lanes. Registers: R0 sum, R1 src, R2 ahead, R3-R6 rows of q, R10 eights left; V0-V3 eight values of each row,
// V4-V7 and V10-V13 values of the lanes, V8, V9 the same in 16 bits, V15 = 15, V16-V31 sums, four registers a row.

#define SUMS_START \
	MOVD sum+0(FP), R0; \
	MOVD src+8(FP), R1; \
	MOVD ahead+16(FP), R2; \
	MOVD q+24(FP), R3; \
	MOVD stride+32(FP), R12; \
	MOVD eights+40(FP), R10; \
	ADD R12, R3, R4; \
	ADD R12, R4, R5; \
	ADD R12, R5, R6

#define CLEAR(a, b, c, d) \
	ZERO(a); \
	ZERO(b); \
	ZERO(c); \
	ZERO(d)

// Value i of row q times the lanes in V8, V9.
#define ADD_ROW(i, q, a, b, c, d) \
	SMLALE_4S(i, q, 8, a); \
	SMLALE2_4S(i, q, 8, b); \
	SMLALE_4S(i, q, 9, c); \
	SMLALE2_4S(i, q, 9, d)

#define ROWS1(i) ADD_ROW(i, 0, 16, 17, 18, 19)
#define ROWS2(i) ROWS1(i); ADD_ROW(i, 1, 20, 21, 22, 23)
#define ROWS3(i) ROWS2(i); ADD_ROW(i, 2, 24, 25, 26, 27)
#define ROWS4(i) ROWS3(i); ADD_ROW(i, 3, 28, 29, 30, 31)

#define WIDE(v) \
	VUXTL v.B8, V8.H8; \
	VUXTL2 v.B16, V9.H8

#define LOW4(v, d) VAND V15.B16, v.B16, d.B16
#define HIGH4(v) VUSHR $4, v.B16, v.B16

// func panelSumsQ8NEON1(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ8NEON1(SB), NOSPLIT, $0-48
	SUMS_START
	CLEAR(16, 17, 18, 19)

eight:
	VLD1.P 16(R3), [V0.H8]
	PRFM (R2), PLDL1KEEP
	PRFM 64(R2), PLDL1KEEP
	ADD $128, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS1(0)
	WIDE(V5)
	ROWS1(1)
	WIDE(V6)
	ROWS1(2)
	WIDE(V7)
	ROWS1(3)
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS1(4)
	WIDE(V5)
	ROWS1(5)
	WIDE(V6)
	ROWS1(6)
	WIDE(V7)
	ROWS1(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	RET

// func panelSumsQ8NEON2(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ8NEON2(SB), NOSPLIT, $0-48
	SUMS_START
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	PRFM (R2), PLDL1KEEP
	PRFM 64(R2), PLDL1KEEP
	ADD $128, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS2(0)
	WIDE(V5)
	ROWS2(1)
	WIDE(V6)
	ROWS2(2)
	WIDE(V7)
	ROWS2(3)
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS2(4)
	WIDE(V5)
	ROWS2(5)
	WIDE(V6)
	ROWS2(6)
	WIDE(V7)
	ROWS2(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	RET

// func panelSumsQ8NEON3(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ8NEON3(SB), NOSPLIT, $0-48
	SUMS_START
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)
	CLEAR(24, 25, 26, 27)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	VLD1.P 16(R5), [V2.H8]
	PRFM (R2), PLDL1KEEP
	PRFM 64(R2), PLDL1KEEP
	ADD $128, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS3(0)
	WIDE(V5)
	ROWS3(1)
	WIDE(V6)
	ROWS3(2)
	WIDE(V7)
	ROWS3(3)
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS3(4)
	WIDE(V5)
	ROWS3(5)
	WIDE(V6)
	ROWS3(6)
	WIDE(V7)
	ROWS3(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	RET

// func panelSumsQ8NEON4(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ8NEON4(SB), NOSPLIT, $0-48
	SUMS_START
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)
	CLEAR(24, 25, 26, 27)
	CLEAR(28, 29, 30, 31)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	VLD1.P 16(R5), [V2.H8]
	VLD1.P 16(R6), [V3.H8]
	PRFM (R2), PLDL1KEEP
	PRFM 64(R2), PLDL1KEEP
	ADD $128, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS4(0)
	WIDE(V5)
	ROWS4(1)
	WIDE(V6)
	ROWS4(2)
	WIDE(V7)
	ROWS4(3)
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	WIDE(V4)
	ROWS4(4)
	WIDE(V5)
	ROWS4(5)
	WIDE(V6)
	ROWS4(6)
	WIDE(V7)
	ROWS4(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1.P [V28.S4, V29.S4, V30.S4, V31.S4], 64(R0)
	RET

// func panelSumsQ4NEON1(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ4NEON1(SB), NOSPLIT, $0-48
	SUMS_START
	VMOVI $15, V15.B16
	CLEAR(16, 17, 18, 19)

eight:
	VLD1.P 16(R3), [V0.H8]
	PRFM (R2), PLDL1KEEP
	ADD $64, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	LOW4(V4, V10)
	LOW4(V5, V11)
	LOW4(V6, V12)
	LOW4(V7, V13)
	WIDE(V10)
	ROWS1(0)
	WIDE(V11)
	ROWS1(1)
	WIDE(V12)
	ROWS1(2)
	WIDE(V13)
	ROWS1(3)
	HIGH4(V4)
	HIGH4(V5)
	HIGH4(V6)
	HIGH4(V7)
	WIDE(V4)
	ROWS1(4)
	WIDE(V5)
	ROWS1(5)
	WIDE(V6)
	ROWS1(6)
	WIDE(V7)
	ROWS1(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	RET

// func panelSumsQ4NEON2(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ4NEON2(SB), NOSPLIT, $0-48
	SUMS_START
	VMOVI $15, V15.B16
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	PRFM (R2), PLDL1KEEP
	ADD $64, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	LOW4(V4, V10)
	LOW4(V5, V11)
	LOW4(V6, V12)
	LOW4(V7, V13)
	WIDE(V10)
	ROWS2(0)
	WIDE(V11)
	ROWS2(1)
	WIDE(V12)
	ROWS2(2)
	WIDE(V13)
	ROWS2(3)
	HIGH4(V4)
	HIGH4(V5)
	HIGH4(V6)
	HIGH4(V7)
	WIDE(V4)
	ROWS2(4)
	WIDE(V5)
	ROWS2(5)
	WIDE(V6)
	ROWS2(6)
	WIDE(V7)
	ROWS2(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	RET

// func panelSumsQ4NEON3(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ4NEON3(SB), NOSPLIT, $0-48
	SUMS_START
	VMOVI $15, V15.B16
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)
	CLEAR(24, 25, 26, 27)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	VLD1.P 16(R5), [V2.H8]
	PRFM (R2), PLDL1KEEP
	ADD $64, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	LOW4(V4, V10)
	LOW4(V5, V11)
	LOW4(V6, V12)
	LOW4(V7, V13)
	WIDE(V10)
	ROWS3(0)
	WIDE(V11)
	ROWS3(1)
	WIDE(V12)
	ROWS3(2)
	WIDE(V13)
	ROWS3(3)
	HIGH4(V4)
	HIGH4(V5)
	HIGH4(V6)
	HIGH4(V7)
	WIDE(V4)
	ROWS3(4)
	WIDE(V5)
	ROWS3(5)
	WIDE(V6)
	ROWS3(6)
	WIDE(V7)
	ROWS3(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	RET

// func panelSumsQ4NEON4(sum *int32, src, ahead, q *byte, stride, eights int)
TEXT ·panelSumsQ4NEON4(SB), NOSPLIT, $0-48
	SUMS_START
	VMOVI $15, V15.B16
	CLEAR(16, 17, 18, 19)
	CLEAR(20, 21, 22, 23)
	CLEAR(24, 25, 26, 27)
	CLEAR(28, 29, 30, 31)

eight:
	VLD1.P 16(R3), [V0.H8]
	VLD1.P 16(R4), [V1.H8]
	VLD1.P 16(R5), [V2.H8]
	VLD1.P 16(R6), [V3.H8]
	PRFM (R2), PLDL1KEEP
	ADD $64, R2
	VLD4.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	LOW4(V4, V10)
	LOW4(V5, V11)
	LOW4(V6, V12)
	LOW4(V7, V13)
	WIDE(V10)
	ROWS4(0)
	WIDE(V11)
	ROWS4(1)
	WIDE(V12)
	ROWS4(2)
	WIDE(V13)
	ROWS4(3)
	HIGH4(V4)
	HIGH4(V5)
	HIGH4(V6)
	HIGH4(V7)
	WIDE(V4)
	ROWS4(4)
	WIDE(V5)
	ROWS4(5)
	WIDE(V6)
	ROWS4(6)
	WIDE(V7)
	ROWS4(7)
	SUBS $1, R10
	BNE eight
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1.P [V28.S4, V29.S4, V30.S4, V31.S4], 64(R0)
	RET

// func addScoresNEON(scores *float32, d *int32, scales *byte, scale *float32, sum *int32, stride, offset, m int)
//
// For m rows and 16 lanes j: scores[r*64+j] = fma(float32(d[r*16+j] - offset*sum[r*stride/4])*scale[r], scales[j], scores[r*64+j]),
// with binary16 scales. Registers: R0 scores, R1 d, R2 scale, R3 sum, R4 stride, R5 offset, R6 rows left, R7, R8 scratch;
// V16-V19 scales.
TEXT ·addScoresNEON(SB), NOSPLIT, $0-64
	MOVD scores+0(FP), R0
	MOVD d+8(FP), R1
	MOVD scales+16(FP), R7
	MOVD scale+24(FP), R2
	MOVD sum+32(FP), R3
	MOVD stride+40(FP), R4
	MOVD offset+48(FP), R5
	MOVD m+56(FP), R6
	VLD1 (R7), [V0.H8, V1.H8]
	FCVTL_4S(0, 16)
	FCVTL2_4S(0, 17)
	FCVTL_4S(1, 18)
	FCVTL2_4S(1, 19)

row:
	MOVW (R3), R7
	ADD R4, R3
	MULW R5, R7, R7
	VDUP R7, V20.S4
	FMOVS.P 4(R2), F21
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]
	VSUB V20.S4, V0.S4, V0.S4
	VSUB V20.S4, V1.S4, V1.S4
	VSUB V20.S4, V2.S4, V2.S4
	VSUB V20.S4, V3.S4, V3.S4
	SCVTF_4S(0, 0)
	SCVTF_4S(1, 1)
	SCVTF_4S(2, 2)
	SCVTF_4S(3, 3)
	FMULE_4S(0, 21, 0, 0)
	FMULE_4S(0, 21, 1, 1)
	FMULE_4S(0, 21, 2, 2)
	FMULE_4S(0, 21, 3, 3)
	FMLA_4S(16, 0, 4)
	FMLA_4S(17, 1, 5)
	FMLA_4S(18, 2, 6)
	FMLA_4S(19, 3, 7)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R0)
	ADD $256, R0
	SUBS $1, R6
	BNE row
	RET

// func addValuesNEON(out *float32, outStride int, d *int32, keep, scale *float32, sum *int32, stride, offset, m int)
//
// For m rows and 16 columns j: out[r*outStride/4+j] = fma(float32(d[r*16+j] - offset*sum[r*stride/4]), scale[r*stride/4],
// keep[r]*out[r*outStride/4+j]). Registers: R0 out, R1 outStride, R2 d, R3 keep, R4 scale, R5 sum, R6 stride, R7 offset, R8 rows
// left, R9 scratch.
TEXT ·addValuesNEON(SB), NOSPLIT, $0-72
	MOVD out+0(FP), R0
	MOVD outStride+8(FP), R1
	MOVD d+16(FP), R2
	MOVD keep+24(FP), R3
	MOVD scale+32(FP), R4
	MOVD sum+40(FP), R5
	MOVD stride+48(FP), R6
	MOVD offset+56(FP), R7
	MOVD m+64(FP), R8

row:
	MOVW (R5), R9
	ADD R6, R5
	MULW R7, R9, R9
	VDUP R9, V20.S4
	FMOVS (R4), F21
	ADD R6, R4
	FMOVS.P 4(R3), F22
	VLD1.P 64(R2), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]
	VSUB V20.S4, V0.S4, V0.S4
	VSUB V20.S4, V1.S4, V1.S4
	VSUB V20.S4, V2.S4, V2.S4
	VSUB V20.S4, V3.S4, V3.S4
	SCVTF_4S(0, 0)
	SCVTF_4S(1, 1)
	SCVTF_4S(2, 2)
	SCVTF_4S(3, 3)
	FMULE_4S(0, 22, 4, 4)
	FMULE_4S(0, 22, 5, 5)
	FMULE_4S(0, 22, 6, 6)
	FMULE_4S(0, 22, 7, 7)
	FMLAE_4S(0, 21, 0, 4)
	FMLAE_4S(0, 21, 1, 5)
	FMLAE_4S(0, 21, 2, 6)
	FMLAE_4S(0, 21, 3, 7)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R0)
	ADD R1, R0
	SUBS $1, R8
	BNE row
	RET

// func firstScoresNEON(scores, x *float32, first *byte, dim, m int)
//
// scores[r*64+j] = x[r*dim + ...] . first for m rows and j < 64; dim is a positive multiple of 32. Registers: R0 scores, R1 x,
// R2 first, R3 dim, R4 rows left, R5 place in first, R6 columns left; V0-V7 sums.
TEXT ·firstScoresNEON(SB), NOSPLIT, $0-40
	MOVD scores+0(FP), R0
	MOVD x+8(FP), R1
	MOVD first+16(FP), R2
	MOVD dim+24(FP), R3
	MOVD m+32(FP), R4

row:
	MOVD R2, R5
	MOVD R3, R6
	CLEAR(0, 1, 2, 3)

column:
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R5), [V20.S4, V21.S4, V22.S4, V23.S4]
	FMLA_4S(20, 16, 0)
	FMLA_4S(21, 17, 1)
	FMLA_4S(22, 18, 2)
	FMLA_4S(23, 19, 3)
	SUBS $16, R6
	BNE column
	FADD_4S(1, 0, 0)
	FADD_4S(3, 2, 2)
	FADD_4S(2, 0, 0)
	FADDP_4S(0, 0, 0)
	FADDP_4S(0, 0, 0)
	VMOV V0.B16, V1.B16
	VMOV V0.B16, V2.B16
	VMOV V0.B16, V3.B16
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $1, R4
	BNE row
	RET

// V0-V3 = 16 values of x; where R1, the place of binary16 factors, is not nil, times those, with zeros staying zero. V16 is the
// mask of a magnitude, V18 zero; V4-V12, V20, V21 are used up.
#define FACTORS \
	VLD1.P 32(R1), [V4.H8, V5.H8]; \
	FCVTL_4S(4, 6); \
	FCVTL2_4S(4, 7); \
	FCVTL_4S(5, 20); \
	FCVTL2_4S(5, 21); \
	TIMES(V0, 0, 6); \
	TIMES(V1, 1, 7); \
	TIMES(V2, 2, 20); \
	TIMES(V3, 3, 21)

#define TIMES(v, n, f) \
	VAND V16.B16, v.B16, V12.B16; \
	VCMEQ V18.S4, V12.S4, V12.S4; \
	FMUL_4S(f, n, n); \
	BIC_16B(12, n, n)

// func rowTopNEON(x *float32, factor *byte, n int) uint32
//
// The bits of the largest magnitude of n products of x and factor, or of x where factor is nil; n is a positive multiple of 16.
TEXT ·rowTopNEON(SB), NOSPLIT, $0-28
	MOVD x+0(FP), R0
	MOVD factor+8(FP), R1
	MOVD n+16(FP), R2
	MOVW $0x7fffffff, R3
	VDUP R3, V16.S4
	ZERO(17)
	ZERO(18)

next:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	CBZ R1, plain
	FACTORS

plain:
	VAND V16.B16, V0.B16, V0.B16
	VAND V16.B16, V1.B16, V1.B16
	VAND V16.B16, V2.B16, V2.B16
	VAND V16.B16, V3.B16, V3.B16
	VUMAX V0.S4, V1.S4, V0.S4
	VUMAX V2.S4, V3.S4, V2.S4
	VUMAX V0.S4, V17.S4, V17.S4
	VUMAX V2.S4, V17.S4, V17.S4
	SUBS $16, R2
	BNE next
	UMAXV_4S(17, 17)
	FMOVS F17, ret+24(FP)
	RET

// V4, V5 = the 16 values in V0-V3 times V22, to the nearest int16 and ties to even; what is no number becomes zero.
#define INTEGERS \
	FMULE_4S(0, 22, 0, 0); \
	FMULE_4S(0, 22, 1, 1); \
	FMULE_4S(0, 22, 2, 2); \
	FMULE_4S(0, 22, 3, 3); \
	FCVTNS_4S(0, 0); \
	FCVTNS_4S(1, 1); \
	FCVTNS_4S(2, 2); \
	FCVTNS_4S(3, 3); \
	SQXTN_4H(0, 4); \
	SQXTN2_8H(1, 4); \
	SQXTN_4H(2, 5); \
	SQXTN2_8H(3, 5)

// func rowIntegersNEON(dst *byte, sum *int32, x *float32, factor *byte, n, per int, levels float32, planes int)
//
// The n products of x and factor, or x where factor is nil, times levels, to the nearest int16 and ties to even, and the sums of
// each per of them; n is a multiple of per, per a positive multiple of 16. What is no number becomes zero. With planes not 0 each
// eight integers q = 256*high + low, low signed, become the bytes high, low of the first four, high, low of the others. Registers:
// R0 x, R1 factor, R2 dst, R3 sum, R4 left, R5 per, R6 left of a sum, R8 planes; V22 levels, V23 sum, V24 = 128.
TEXT ·rowIntegersNEON(SB), NOSPLIT, $0-64
	MOVD dst+0(FP), R2
	MOVD sum+8(FP), R3
	MOVD x+16(FP), R0
	MOVD factor+24(FP), R1
	MOVD n+32(FP), R4
	MOVD per+40(FP), R5
	FMOVS levels+48(FP), F22
	MOVD planes+56(FP), R8
	MOVW $128, R7
	VDUP R7, V24.H8
	MOVW $0x7fffffff, R7
	VDUP R7, V16.S4
	ZERO(18)

sum:
	MOVD R5, R6
	ZERO(23)

next:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	CBZ R1, plain
	FACTORS

plain:
	INTEGERS
	SADALP_4S(4, 23)
	SADALP_4S(5, 23)
	CBZ R8, words

	// The high byte of q + 128 is high, the low byte of q is low.
	VUZP1 V5.B16, V4.B16, V6.B16
	VADD V24.H8, V4.H8, V4.H8
	VADD V24.H8, V5.H8, V5.H8
	VUZP2 V5.B16, V4.B16, V7.B16
	VZIP1 V6.S4, V7.S4, V4.S4
	VZIP2 V6.S4, V7.S4, V5.S4

words:
	VST1.P [V4.H8, V5.H8], 32(R2)
	SUBS $16, R6
	BNE next
	ADDP_4S(23, 23, 23)
	ADDP_4S(23, 23, 23)
	FMOVS.P F23, 4(R3)
	SUBS R5, R4
	BNE sum
	RET

// func kvIntegersNEON(dst *byte, x *float32, n int, levels float32)
//
// x times levels, to the nearest int8 and ties to even; n is a positive multiple of 16. Registers: R0 x, R1 dst, R2 left; V22
// levels.
TEXT ·kvIntegersNEON(SB), NOSPLIT, $0-28
	MOVD dst+0(FP), R1
	MOVD x+8(FP), R0
	MOVD n+16(FP), R2
	FMOVS levels+24(FP), F22

next:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	INTEGERS
	SQXTN_8B(4, 6)
	SQXTN2_16B(5, 6)
	VST1.P [V6.B16], 16(R1)
	SUBS $16, R2
	BNE next
	RET
