//go:build !purego

// Kernels over vectors of float32, plain NEON. None reads or writes beyond the stated lengths, none needs alignment.

#include "textflag.h"
#include "neon_arm64.h"

#define ABS(x, d) VAND V30.B16, x.B16, d.B16

// x - D*q for four integers, D in V3.S[0].
#define REST(q, x) SCVTF_4S(q, q); FMULE_4S(0, 3, q, q); FSUB_4S(q, x, x)

// func quantize(dst *byte, x *float32, stride, blocks int, rest *float32)
//
//	for each of blocks > 0 blocks of 32, the Act at dst, then stride bytes further on:
//	    amax = max |x|, as an integer maximum of the bits, which also finds NaN and infinity
//	    D = amax * float32(1/127), then as bits (D + 0x7ffff) &^ 0x7ffff: quant.Act.D
//	    Q = roundToNearestEven(x * (1/D)), saturating narrowing
//	    S, SA, SB = D * float32(sum Q);  N, NA, NB = -128 * sum Q;  M = exponent of D + 0x0bc00000
//	    amax >= 2^106 or none: D = S = SA = SB = NaN, M = -1, Q = N = NA = NB = 0;  amax < 2^-93: D = 0, and as with that
//	    rest, unless nil: x - D * Q, two roundings
//
// Registers: R0 dst, R1 stride, R2 rest, R3 x, R4 blocks, R5 bits, R6 the bits of 2^106, R7, R8 sums, R9 the bits of
// 2^-93, R10 0x7ffff, R11 M, R12 its offset, V30 = 0x7fffffff, F31 = 1/127, F29 = 1, V28 = 0. Exact: the bits of the reference,
// because products, division and rounding are IEEE's.
TEXT ·quantize(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R3
	MOVD stride+16(FP), R1
	MOVD blocks+24(FP), R4
	MOVD rest+32(FP), R2
	MOVW $0x7ffff, R10
	MOVW $0x74800000, R6
	MOVW $0x11000000, R9
	MOVW $0x0bc00000, R12
	MOVW $0x7fffffff, R5
	VDUP R5, V30.S4
	MOVW $0x3c010204, R5
	FMOVS R5, F31
	FMOVS $1.0, F29
	VEOR V28.B16, V28.B16, V28.B16

block:
	VLD1.P 64(R3), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R3), [V4.S4, V5.S4, V6.S4, V7.S4]
	ABS(V0, V16)
	ABS(V1, V17)
	ABS(V2, V18)
	ABS(V3, V19)
	ABS(V4, V20)
	ABS(V5, V21)
	ABS(V6, V22)
	ABS(V7, V23)
	VUMAX V17.S4, V16.S4, V16.S4
	VUMAX V19.S4, V18.S4, V18.S4
	VUMAX V21.S4, V20.S4, V20.S4
	VUMAX V23.S4, V22.S4, V22.S4
	VUMAX V18.S4, V16.S4, V16.S4
	VUMAX V22.S4, V20.S4, V20.S4
	VUMAX V20.S4, V16.S4, V16.S4
	UMAXV_4S(16, 16)
	FMOVS F16, R5
	CMPW R6, R5
	BHS notFinite
	CMPW R9, R5
	BLO zero
	FMULS F31, F16, F17
	FMOVS F17, R5
	ADDW R10, R5
	BICW R10, R5
	FMOVS R5, F17
	ANDW $0x7f800000, R5, R11
	ADDW R12, R11
	FDIVS F17, F29, F18
	FMULE_4S(0, 18, 0, 0)
	FMULE_4S(0, 18, 1, 1)
	FMULE_4S(0, 18, 2, 2)
	FMULE_4S(0, 18, 3, 3)
	FMULE_4S(0, 18, 4, 4)
	FMULE_4S(0, 18, 5, 5)
	FMULE_4S(0, 18, 6, 6)
	FMULE_4S(0, 18, 7, 7)
	FCVTNS_4S(0, 0)
	FCVTNS_4S(1, 1)
	FCVTNS_4S(2, 2)
	FCVTNS_4S(3, 3)
	FCVTNS_4S(4, 4)
	FCVTNS_4S(5, 5)
	FCVTNS_4S(6, 6)
	FCVTNS_4S(7, 7)
	SQXTN_4H(0, 0)
	SQXTN_4H(2, 2)
	SQXTN_4H(4, 4)
	SQXTN_4H(6, 6)
	SQXTN2_8H(1, 0)
	SQXTN2_8H(3, 2)
	SQXTN2_8H(5, 4)
	SQXTN2_8H(7, 6)
	SQXTN_8B(0, 0)
	SQXTN_8B(4, 4)
	SQXTN2_16B(2, 0)
	SQXTN2_16B(6, 4)
	SADDLP_8H(0, 1)
	SADDLP_8H(4, 2)
	SADDLV_8H(1, 1)
	SADDLV_8H(2, 2)
	FMOVS F1, R7
	FMOVS F2, R8
	ADDW R7, R8, R5
	VMOV R5, V3.S[1]
	VMOV R7, V3.S[2]
	VMOV R8, V3.S[3]
	SCVTF_4S(3, 3)
	FMULE_4S(0, 17, 3, 3)
	VMOV V17.S[0], V3.S[0]
	VMOV R5, V5.S[0]
	VMOV R7, V5.S[1]
	VMOV R8, V5.S[2]
	VSHL $7, V5.S4, V5.S4
	VSUB V5.S4, V28.S4, V5.S4
	VMOV R11, V5.S[3]

store:
	FSTPQ (F0, F4), 0(R0)
	FSTPQ (F3, F5), 32(R0)
	ADD R1, R0
	CBZ R2, next
	SUB $128, R3
	VLD1.P 64(R3), [V20.S4, V21.S4, V22.S4, V23.S4]
	VLD1.P 64(R3), [V24.S4, V25.S4, V26.S4, V27.S4]
	SXTL2_8H(0, 2)
	SXTL_8H(0, 0)
	SXTL2_8H(4, 6)
	SXTL_8H(4, 4)
	SXTL2_4S(0, 1)
	SXTL_4S(0, 0)
	SXTL2_4S(2, 16)
	SXTL_4S(2, 2)
	SXTL2_4S(4, 5)
	SXTL_4S(4, 4)
	SXTL2_4S(6, 7)
	SXTL_4S(6, 6)
	REST(0, 20)
	REST(1, 21)
	REST(2, 22)
	REST(16, 23)
	REST(4, 24)
	REST(5, 25)
	REST(6, 26)
	REST(7, 27)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R2)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R2)

next:
	SUBS $1, R4
	BNE block
	RET

notFinite:
	MOVW $0x7fc00000, R5
	MOVW $-1, R11
	B fill

zero:
	MOVW ZR, R5
	MOVW R12, R11

fill:
	VDUP R5, V3.S4
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VMOV R11, V5.S[3]
	B store

// func toF16(dst *byte, x *float32, n int)
//
// dst[i] = binary16(x[i]) for n > 0 values, nearest even; eight at a time, then single ones.
// Registers: R0 dst, R1 x, R2 left. Exact.
TEXT ·toF16(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	SUBS $8, R2
	BLT rest

eight:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	FCVTN_4H(0, 0)
	FCVTN2_8H(1, 0)
	FMOVQ.P F0, 16(R0)
	SUBS $8, R2
	BGE eight

rest:
	ADDS $8, R2
	BEQ done

one:
	FMOVS.P 4(R1), F0
	FCVTSH F0, F0
	FMOVS F0, R3
	MOVH.P R3, 2(R0)
	SUBS $1, R2
	BNE one

done:
	RET

// func sumSquares(x *float32, n int) float64
//
// The sum of x[i]^2 over n values, a positive multiple of 8, in float64: eight partial sums, value i in sum i mod 8, added
// as ((0+4)+(2+6)) + ((1+5)+(3+7)). Squares of float32 are exact in float64, so the relative error is below (n/8+3) * 2^-53.
// Registers: R0 x, R1 left, V0-V3 sums.
TEXT ·sumSquares(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16

eight:
	VLD1.P 32(R0), [V4.S4, V5.S4]
	FCVTL_2D(4, 6)
	FCVTL2_2D(4, 7)
	FCVTL_2D(5, 16)
	FCVTL2_2D(5, 17)
	FMLA_2D(6, 6, 0)
	FMLA_2D(7, 7, 1)
	FMLA_2D(16, 16, 2)
	FMLA_2D(17, 17, 3)
	SUBS $8, R1
	BNE eight
	FADD_2D(2, 0, 0)
	FADD_2D(3, 1, 1)
	FADD_2D(1, 0, 0)
	VDUP V0.D[1], V1.D2
	FADDD F1, F0, F0
	FMOVD F0, ret+16(FP)
	RET

// func scaleMul(dst, x, w *float32, n int, scale float32)
//
// dst[i] = (x[i] * scale) * w[i] for n values, a positive multiple of 8; dst may be x. Two roundings, as written.
// Registers: R0 dst, R1 x, R2 w, R3 left, V16 scale.
TEXT ·scaleMul(SB), NOSPLIT, $0-36
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R2
	MOVD n+24(FP), R3
	FMOVS scale+32(FP), F16

eight:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	VLD1.P 32(R2), [V2.S4, V3.S4]
	FMULE_4S(0, 16, 0, 0)
	FMULE_4S(0, 16, 1, 1)
	FMUL_4S(2, 0, 0)
	FMUL_4S(3, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R3
	BNE eight
	RET

// Constants of EXP: log2(e); ln 2 in two parts, the upper with 12 zero bits at its end, so that its product with n is
// exact; coefficients 4 to 0 of (e^r - 1 - r) / r^2, interpolated at the five Chebyshev nodes of |r| <= ln(2)/2 (error of
// e^r 1.1e-8); 1; the lowest argument with a normal result, 2^-126; the highest that SiluMul needs.
DATA expTable<>+0(SB)/4, $0x3fb8aa3b
DATA expTable<>+4(SB)/4, $0x3f317000
DATA expTable<>+8(SB)/4, $0x3805fdf4
DATA expTable<>+12(SB)/4, $0x3ab68885
DATA expTable<>+16(SB)/4, $0x3c0905b7
DATA expTable<>+20(SB)/4, $0x3d2aaa8d
DATA expTable<>+24(SB)/4, $0x3e2aaa6e
DATA expTable<>+28(SB)/4, $0x3f000000
DATA expTable<>+32(SB)/4, $0x3f800000
DATA expTable<>+36(SB)/4, $0xc2aeac4f
DATA expTable<>+40(SB)/4, $0x42b00000
GLOBL expTable<>(SB), RODATA|NOPTR, $44

// Constants to V16-V26.
#define EXP_CONSTANTS \
	MOVD $expTable<>(SB), R9; \
	VLD1R.P 4(R9), [V16.S4]; \
	VLD1R.P 4(R9), [V17.S4]; \
	VLD1R.P 4(R9), [V18.S4]; \
	VLD1R.P 4(R9), [V19.S4]; \
	VLD1R.P 4(R9), [V20.S4]; \
	VLD1R.P 4(R9), [V21.S4]; \
	VLD1R.P 4(R9), [V22.S4]; \
	VLD1R.P 4(R9), [V23.S4]; \
	VLD1R.P 4(R9), [V24.S4]; \
	VLD1R.P 4(R9), [V25.S4]; \
	VLD1R.P 4(R9), [V26.S4]

// V6, V7 = exp(V0), exp(V1), four values each; V0-V9 are used up. With n = round(x/ln 2) and r = x - n*ln 2, e^r is the
// polynomial and n is added to its exponent. Below the lowest argument the result is 0, NaN stays NaN, the largest
// argument is 88. Relative error at most 2e-7 (test), of which 1e-8 is the polynomial's.
#define EXP \
	FCMGT_4S(0, 25, 2); \
	FCMGT_4S(1, 25, 3); \
	FMUL_4S(16, 0, 4); \
	FMUL_4S(16, 1, 5); \
	FCVTNS_4S(4, 4); \
	FCVTNS_4S(5, 5); \
	SCVTF_4S(4, 6); \
	SCVTF_4S(5, 7); \
	FMLS_4S(17, 6, 0); \
	FMLS_4S(17, 7, 1); \
	FMLS_4S(18, 6, 0); \
	FMLS_4S(18, 7, 1); \
	HORNER(V20, 19, 19, V6, V7, 6, 7); \
	HORNER(V21, 6, 7, V8, V9, 8, 9); \
	HORNER(V22, 8, 9, V6, V7, 6, 7); \
	HORNER(V23, 6, 7, V8, V9, 8, 9); \
	HORNER(V24, 8, 9, V6, V7, 6, 7); \
	HORNER(V24, 6, 7, V8, V9, 8, 9); \
	VSHL $23, V4.S4, V4.S4; \
	VSHL $23, V5.S4, V5.S4; \
	VADD V4.S4, V8.S4, V6.S4; \
	VADD V5.S4, V9.S4, V7.S4; \
	BIC_16B(2, 6, 6); \
	BIC_16B(3, 7, 7)

// d, e (the registers numbered dn, en) = c + p*V0, c + q*V1.
#define HORNER(c, p, q, d, e, dn, en) \
	VMOV c.B16, d.B16; \
	VMOV c.B16, e.B16; \
	FMLA_4S(p, 0, dn); \
	FMLA_4S(q, 1, en)

// func siluMul(dst, gate, up *float32, n int)
//
// dst[i] = gate[i] / (1 + exp(min(-gate[i], 88))) * up[i] for n values, a positive multiple of 8; dst may be gate or up.
// Registers: R0 dst, R1 gate, R2 up, R3 left, V10, V11 gate, V12, V13 up. Relative error at most 4e-7 for gate >= -87.
TEXT ·siluMul(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD gate+8(FP), R1
	MOVD up+16(FP), R2
	MOVD n+24(FP), R3
	EXP_CONSTANTS

eight:
	VLD1.P 32(R1), [V10.S4, V11.S4]
	VLD1.P 32(R2), [V12.S4, V13.S4]
	FNEG_4S(10, 0)
	FNEG_4S(11, 1)
	FMIN_4S(26, 0, 0)
	FMIN_4S(26, 1, 1)
	EXP
	FADD_4S(24, 6, 6)
	FADD_4S(24, 7, 7)
	FDIV_4S(6, 10, 6)
	FDIV_4S(7, 11, 7)
	FMUL_4S(12, 6, 6)
	FMUL_4S(13, 7, 7)
	VST1.P [V6.S4, V7.S4], 32(R0)
	SUBS $8, R3
	BNE eight
	RET
