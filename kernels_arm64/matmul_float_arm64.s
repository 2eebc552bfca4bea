//go:build !purego

// Products of float weights with float32 activations, plain NEON. Every function has the signature
//
//	func matMul<weights>NEON<activation rows>(t *tile)
//
// and computes groups of four weight rows r for one or four activation rows t:
//
//	acc[t][r] = (0, 0, 0, 0)
//	for each step of 8 columns, then once more for tailW and tailX if tail is set:
//	    acc[t][r] = fma(w[r][0:4], x[t][0:4], acc[t][r])
//	    acc[t][r] = fma(w[r][4:8], x[t][4:8], acc[t][r])
//	dst[t][group*4+r] = (acc[0]+acc[1]) + (acc[2]+acc[3])
//
// Registers: R0 tile, R1-R4 weight rows, R5-R8 activation rows, R17 steps left, R19 groups left, R20 steps, R21 three
// row strides, R22 bytes of an activation row, R24 offset into dst, R25 tail flag, R26 scratch. V0-V15 acc, four rows of
// activation row 0, then 1, ...; V16-V23 weights, two registers per row; V24-V31 activations, two per row.
// Over-read: none, only whole steps are read. Tolerance: see MatMulF32F32NEON.

#include "go_asm.h"
#include "textflag.h"
#include "neon_arm64.h"

#define CLEAR(v) VEOR v.B16, v.B16, v.B16
#define CLEAR4(a, b, c, d) CLEAR(a); CLEAR(b); CLEAR(c); CLEAR(d)

#define START \
	MOVD t+0(FP), R0; \
	MOVD tile_w(R0), R1; \
	MOVD tile_rowStride(R0), R21; \
	MOVD tile_groups(R0), R19; \
	MOVD tile_steps(R0), R20; \
	MOVD tile_tail(R0), R25; \
	ADD R21, R1, R2; \
	ADD R21, R2, R3; \
	ADD R21, R3, R4; \
	ADD R21<<1, R21, R21; \
	LSL $5, R20, R22; \
	MOVD ZR, R24

#define ACTIVATIONS1 MOVD tile_x(R0), R5
#define ACTIVATIONS4 LDP tile_x(R0), (R5, R6); LDP (tile_x+16)(R0), (R7, R8)

// Points every row to its padded step.
#define TAIL \
	MOVD ZR, R25; \
	MOVD $1, R17; \
	ADD $tile_tailW, R0, R1; \
	ADD $32, R1, R2; \
	ADD $64, R1, R3; \
	ADD $96, R1, R4; \
	ADD $tile_tailX, R0, R5; \
	ADD $32, R5, R6; \
	ADD $64, R5, R7; \
	ADD $96, R5, R8

#define LOAD_F32 \
	VLD1.P 32(R1), [V16.S4, V17.S4]; \
	VLD1.P 32(R2), [V18.S4, V19.S4]; \
	VLD1.P 32(R3), [V20.S4, V21.S4]; \
	VLD1.P 32(R4), [V22.S4, V23.S4]

#define LOAD_16 \
	FMOVQ.P 16(R1), F16; \
	FMOVQ.P 16(R2), F18; \
	FMOVQ.P 16(R3), F20; \
	FMOVQ.P 16(R4), F22

#define LOAD_F16 \
	LOAD_16; \
	FCVTL2_4S(16, 17); FCVTL2_4S(18, 19); FCVTL2_4S(20, 21); FCVTL2_4S(22, 23); \
	FCVTL_4S(16, 16); FCVTL_4S(18, 18); FCVTL_4S(20, 20); FCVTL_4S(22, 22)

#define LOAD_BF16 \
	LOAD_16; \
	SHLL2_4S(16, 17); SHLL2_4S(18, 19); SHLL2_4S(20, 21); SHLL2_4S(22, 23); \
	SHLL_4S(16, 16); SHLL_4S(18, 18); SHLL_4S(20, 20); SHLL_4S(22, 22)

#define LOAD_X1 VLD1.P 32(R5), [V24.S4, V25.S4]

#define LOAD_X4 \
	VLD1.P 32(R5), [V24.S4, V25.S4]; \
	VLD1.P 32(R6), [V26.S4, V27.S4]; \
	VLD1.P 32(R7), [V28.S4, V29.S4]; \
	VLD1.P 32(R8), [V30.S4, V31.S4]

// Lower and upper four columns of four rows times an activation row; a to d are its sums.
#define LOWER(x, a, b, c, d) FMLA_4S(x, 16, a); FMLA_4S(x, 18, b); FMLA_4S(x, 20, c); FMLA_4S(x, 22, d)
#define UPPER(x, a, b, c, d) FMLA_4S(x, 17, a); FMLA_4S(x, 19, b); FMLA_4S(x, 21, c); FMLA_4S(x, 23, d)

#define MULTIPLY1 \
	LOWER(24, 0, 1, 2, 3); \
	UPPER(25, 0, 1, 2, 3)

#define MULTIPLY4 \
	LOWER(24, 0, 1, 2, 3); \
	LOWER(26, 4, 5, 6, 7); \
	LOWER(28, 8, 9, 10, 11); \
	LOWER(30, 12, 13, 14, 15); \
	UPPER(25, 0, 1, 2, 3); \
	UPPER(27, 4, 5, 6, 7); \
	UPPER(29, 8, 9, 10, 11); \
	UPPER(31, 12, 13, 14, 15)

// Sums of four registers to the four lanes of a.
#define REDUCE(a, b, c, d) FADDP_4S(b, a, a); FADDP_4S(d, c, c); FADDP_4S(c, a, a)

#define STORE(i, v) \
	MOVD (tile_dst+8*i)(R0), R26; \
	ADD R24, R26; \
	VST1 [v.S4], (R26)

#define NEXT \
	ADD $16, R24; \
	ADD R21, R1; ADD R21, R2; ADD R21, R3; ADD R21, R4; \
	SUBS $1, R19

// func matMulF32NEON4(t *tile)
TEXT ·matMulF32NEON4(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS4

group:
	CLEAR4(V0, V1, V2, V3)
	CLEAR4(V4, V5, V6, V7)
	CLEAR4(V8, V9, V10, V11)
	CLEAR4(V12, V13, V14, V15)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_F32
	LOAD_X4
	MULTIPLY4
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	REDUCE(4, 5, 6, 7)
	REDUCE(8, 9, 10, 11)
	REDUCE(12, 13, 14, 15)
	STORE(0, V0)
	STORE(1, V4)
	STORE(2, V8)
	STORE(3, V12)
	SUB R22, R5
	SUB R22, R6
	SUB R22, R7
	SUB R22, R8
	NEXT
	BNE group
	RET

// func matMulF32NEON1(t *tile)
TEXT ·matMulF32NEON1(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS1

group:
	CLEAR4(V0, V1, V2, V3)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_F32
	LOAD_X1
	MULTIPLY1
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	STORE(0, V0)
	SUB R22, R5
	NEXT
	BNE group
	RET

// func matMulF16NEON4(t *tile)
TEXT ·matMulF16NEON4(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS4

group:
	CLEAR4(V0, V1, V2, V3)
	CLEAR4(V4, V5, V6, V7)
	CLEAR4(V8, V9, V10, V11)
	CLEAR4(V12, V13, V14, V15)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_F16
	LOAD_X4
	MULTIPLY4
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	REDUCE(4, 5, 6, 7)
	REDUCE(8, 9, 10, 11)
	REDUCE(12, 13, 14, 15)
	STORE(0, V0)
	STORE(1, V4)
	STORE(2, V8)
	STORE(3, V12)
	SUB R22, R5
	SUB R22, R6
	SUB R22, R7
	SUB R22, R8
	NEXT
	BNE group
	RET

// func matMulF16NEON1(t *tile)
TEXT ·matMulF16NEON1(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS1

group:
	CLEAR4(V0, V1, V2, V3)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_F16
	LOAD_X1
	MULTIPLY1
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	STORE(0, V0)
	SUB R22, R5
	NEXT
	BNE group
	RET

// func matMulBF16NEON4(t *tile)
TEXT ·matMulBF16NEON4(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS4

group:
	CLEAR4(V0, V1, V2, V3)
	CLEAR4(V4, V5, V6, V7)
	CLEAR4(V8, V9, V10, V11)
	CLEAR4(V12, V13, V14, V15)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_BF16
	LOAD_X4
	MULTIPLY4
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	REDUCE(4, 5, 6, 7)
	REDUCE(8, 9, 10, 11)
	REDUCE(12, 13, 14, 15)
	STORE(0, V0)
	STORE(1, V4)
	STORE(2, V8)
	STORE(3, V12)
	SUB R22, R5
	SUB R22, R6
	SUB R22, R7
	SUB R22, R8
	NEXT
	BNE group
	RET

// func matMulBF16NEON1(t *tile)
TEXT ·matMulBF16NEON1(SB), NOSPLIT, $0-8
	START
	ACTIVATIONS1

group:
	CLEAR4(V0, V1, V2, V3)
	MOVD R20, R17
	CBZ R17, tail

step:
	LOAD_BF16
	LOAD_X1
	MULTIPLY1
	SUBS $1, R17
	BNE step

tail:
	CBZ R25, sum
	TAIL
	B step

sum:
	REDUCE(0, 1, 2, 3)
	STORE(0, V0)
	SUB R22, R5
	NEXT
	BNE group
	RET
