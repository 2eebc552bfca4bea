//go:build !purego

// Loops that do nothing but saturate the units of a core: the machine's own limits, for the benchmark. turns is at least
// 1. The sixteen chains are independent, V16 and V17 the operands; what is in the registers does not matter.

#include "textflag.h"
#include "neon_arm64.h"

// func peakNEON(turns int)
// 16 times 8 products, SMLAL and SMLAL2 in turn.
TEXT ·peakNEON(SB), NOSPLIT, $0-8
	MOVD turns+0(FP), R0

turn:
	SMLAL(17, 16, 0)
	SMLAL2(17, 16, 1)
	SMLAL(17, 16, 2)
	SMLAL2(17, 16, 3)
	SMLAL(17, 16, 4)
	SMLAL2(17, 16, 5)
	SMLAL(17, 16, 6)
	SMLAL2(17, 16, 7)
	SMLAL(17, 16, 8)
	SMLAL2(17, 16, 9)
	SMLAL(17, 16, 10)
	SMLAL2(17, 16, 11)
	SMLAL(17, 16, 12)
	SMLAL2(17, 16, 13)
	SMLAL(17, 16, 14)
	SMLAL2(17, 16, 15)
	SUBS $1, R0
	BNE turn
	RET

// func peakDotProd(turns int)
// 16 times 16 products with SDOT.
TEXT ·peakDotProd(SB), NOSPLIT, $0-8
	MOVD turns+0(FP), R0

turn:
	SDOT(17, 16, 0)
	SDOT(17, 16, 1)
	SDOT(17, 16, 2)
	SDOT(17, 16, 3)
	SDOT(17, 16, 4)
	SDOT(17, 16, 5)
	SDOT(17, 16, 6)
	SDOT(17, 16, 7)
	SDOT(17, 16, 8)
	SDOT(17, 16, 9)
	SDOT(17, 16, 10)
	SDOT(17, 16, 11)
	SDOT(17, 16, 12)
	SDOT(17, 16, 13)
	SDOT(17, 16, 14)
	SDOT(17, 16, 15)
	SUBS $1, R0
	BNE turn
	RET

// func peakI8MM(turns int)
// 16 times 32 products with SMMLA.
TEXT ·peakI8MM(SB), NOSPLIT, $0-8
	MOVD turns+0(FP), R0

turn:
	SMMLA(17, 16, 0)
	SMMLA(17, 16, 1)
	SMMLA(17, 16, 2)
	SMMLA(17, 16, 3)
	SMMLA(17, 16, 4)
	SMMLA(17, 16, 5)
	SMMLA(17, 16, 6)
	SMMLA(17, 16, 7)
	SMMLA(17, 16, 8)
	SMMLA(17, 16, 9)
	SMMLA(17, 16, 10)
	SMMLA(17, 16, 11)
	SMMLA(17, 16, 12)
	SMMLA(17, 16, 13)
	SMMLA(17, 16, 14)
	SMMLA(17, 16, 15)
	SUBS $1, R0
	BNE turn
	RET

// func readNEON(p *byte, turns int)
// Loads turns * 256 bytes at p and does nothing with them. No alignment is needed.
TEXT ·readNEON(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R1
	MOVD turns+8(FP), R0

turn:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]
	VLD1.P 64(R1), [V8.B16, V9.B16, V10.B16, V11.B16]
	VLD1.P 64(R1), [V12.B16, V13.B16, V14.B16, V15.B16]
	SUBS $1, R0
	BNE turn
	RET
