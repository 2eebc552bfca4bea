//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"

// func add(dst, x *float32, n int)
//
//	dst[i] += x[i], i < n
//
// Registers: R0 dst, R1 x, R2 n, V0-V3 values, V4-V7 addends. Nothing beyond n is touched.
TEXT ·add(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	SUBS $16, R2
	BLT rest

sixteen:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FADD_4S(4, 0, 0)
	FADD_4S(5, 1, 1)
	FADD_4S(6, 2, 2)
	FADD_4S(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R2
	BGE sixteen

rest:
	ADDS $16, R2
	BEQ done

one:
	FMOVS (R0), F0
	FMOVS.P 4(R1), F4
	FADDS F4, F0, F0
	FMOVS.P F0, 4(R0)
	SUBS $1, R2
	BNE one

done:
	RET
