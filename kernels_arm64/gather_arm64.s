//go:build !purego

#include "textflag.h"

// Four rows by registers: two bytes of each, in order.
#define HALVES(a, b, c, d) \
	MOVHU.P 2(a), R21; \
	MOVHU.P 2(b), R22; \
	MOVHU.P 2(c), R23; \
	MOVHU.P 2(d), R24; \
	ORR R22<<16, R21, R21; \
	ORR R24<<16, R23, R23; \
	ORR R23<<32, R21, R21; \
	MOVD.P R21, 8(R16)

// Four bytes of each.
#define WORDS(a, b, c, d) \
	MOVWU.P 4(a), R21; \
	MOVWU.P 4(b), R22; \
	MOVWU.P 4(c), R23; \
	MOVWU.P 4(d), R24; \
	ORR R22<<32, R21, R21; \
	ORR R24<<32, R23, R23; \
	STP.P (R21, R23), 16(R16)

// Sixteen bytes of each: a 4 x 4 matrix of words, transposed.
#define QUARTERS(a, b, c, d, at) \
	FMOVQ.P 16(a), F0; \
	FMOVQ.P 16(b), F1; \
	FMOVQ.P 16(c), F2; \
	FMOVQ.P 16(d), F3; \
	VTRN1 V1.S4, V0.S4, V4.S4; \
	VTRN2 V1.S4, V0.S4, V5.S4; \
	VTRN1 V3.S4, V2.S4, V6.S4; \
	VTRN2 V3.S4, V2.S4, V7.S4; \
	VTRN1 V6.D2, V4.D2, V0.D2; \
	VTRN1 V7.D2, V5.D2, V1.D2; \
	VTRN2 V6.D2, V4.D2, V2.D2; \
	VTRN2 V7.D2, V5.D2, V3.D2; \
	FMOVQ F0, at(R16); \
	FMOVQ F1, (64+at)(R16); \
	FMOVQ F2, (128+at)(R16); \
	FMOVQ F3, (192+at)(R16)

// func gather(dst *byte, rows *[packRows]*byte, at, blocks int, ops *byte)
//
// Registers: R0 to R15 rows, R16 destination, R17 operation, R19 blocks left, R20 the first operation.
TEXT ·gather(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R16
	MOVD rows+8(FP), R17
	MOVD at+16(FP), R20
	LDP 0(R17), (R0, R1)
	LDP 16(R17), (R2, R3)
	LDP 32(R17), (R4, R5)
	LDP 48(R17), (R6, R7)
	LDP 64(R17), (R8, R9)
	LDP 80(R17), (R10, R11)
	LDP 96(R17), (R12, R13)
	LDP 112(R17), (R14, R15)
	ADD R20, R0
	ADD R20, R1
	ADD R20, R2
	ADD R20, R3
	ADD R20, R4
	ADD R20, R5
	ADD R20, R6
	ADD R20, R7
	ADD R20, R8
	ADD R20, R9
	ADD R20, R10
	ADD R20, R11
	ADD R20, R12
	ADD R20, R13
	ADD R20, R14
	ADD R20, R15
	MOVD blocks+24(FP), R19
	MOVD ops+32(FP), R20
	MOVD R20, R17

next:
	MOVBU.P 1(R17), R21
	CMP $4, R21
	BHI quarters
	BEQ words
	CBZ R21, done

	HALVES(R0, R1, R2, R3)
	HALVES(R4, R5, R6, R7)
	HALVES(R8, R9, R10, R11)
	HALVES(R12, R13, R14, R15)
	B next

words:
	WORDS(R0, R1, R2, R3)
	WORDS(R4, R5, R6, R7)
	WORDS(R8, R9, R10, R11)
	WORDS(R12, R13, R14, R15)
	B next

quarters:
	QUARTERS(R0, R1, R2, R3, 0)
	QUARTERS(R4, R5, R6, R7, 16)
	QUARTERS(R8, R9, R10, R11, 32)
	QUARTERS(R12, R13, R14, R15, 48)
	ADD $256, R16
	B next

done:
	MOVD R20, R17
	SUBS $1, R19
	BNE next
	RET
