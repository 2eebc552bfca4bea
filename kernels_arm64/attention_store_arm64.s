//go:build !purego

// What keys and values go through before they are kept in 8 or 4 bits: quant.Hadamard and the integers of quant.QuantizeKV, to
// the bit. None reads or writes beyond what it states, none needs alignment.

#include "textflag.h"
#include "neon_arm64.h"

// Steps of 1 and 2 within two vectors: values that meet come to the same lanes, and go back. V16 to V19 are scratch.
#define STEP(va, vb, t) \
	VTRN1 vb.t, va.t, V16.t; \
	VTRN2 vb.t, va.t, V17.t; \
	FADD_4S(17, 16, 18); \
	FSUB_4S(17, 16, 19); \
	VTRN1 V19.t, V18.t, va.t; \
	VTRN2 V19.t, V18.t, vb.t

#define WITHIN(va, vb) \
	STEP(va, vb, S4); \
	STEP(va, vb, D2)

// A step from vectors a and b to vectors sum and less.
#define ACROSS(a, b, sum, less) \
	FADD_4S(b, a, sum); \
	FSUB_4S(b, a, less)

// func hadamard32NEON(x *float32, blocks int, scale float32)
//
// Blocks of 32 values, at least one, in place. Registers: R0 and R1 x, R2 blocks left.
TEXT ·hadamard32NEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD blocks+8(FP), R2

block:
	MOVD R0, R1
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	WITHIN(V0, V1)
	WITHIN(V2, V3)
	WITHIN(V4, V5)
	WITHIN(V6, V7)
	ACROSS(0, 1, 16, 17)
	ACROSS(2, 3, 18, 19)
	ACROSS(4, 5, 20, 21)
	ACROSS(6, 7, 22, 23)
	ACROSS(16, 18, 0, 2)
	ACROSS(17, 19, 1, 3)
	ACROSS(20, 22, 4, 6)
	ACROSS(21, 23, 5, 7)
	ACROSS(0, 4, 16, 20)
	ACROSS(1, 5, 17, 21)
	ACROSS(2, 6, 18, 22)
	ACROSS(3, 7, 19, 23)
	FMOVS scale+16(FP), F0
	FMULE_4S(0, 0, 16, 16)
	FMULE_4S(0, 0, 17, 17)
	FMULE_4S(0, 0, 18, 18)
	FMULE_4S(0, 0, 19, 19)
	FMULE_4S(0, 0, 20, 20)
	FMULE_4S(0, 0, 21, 21)
	FMULE_4S(0, 0, 22, 22)
	FMULE_4S(0, 0, 23, 23)
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS $1, R2
	BNE block
	RET

// func hadamard64NEON(x *float32, blocks int, scale float32)
//
// Blocks of 64 values, at least one, in place. Registers: R0 and R1 x, R2 blocks left.
TEXT ·hadamard64NEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD blocks+8(FP), R2

block:
	MOVD R0, R1
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R1), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R1), [V12.S4, V13.S4, V14.S4, V15.S4]
	WITHIN(V0, V1)
	WITHIN(V2, V3)
	WITHIN(V4, V5)
	WITHIN(V6, V7)
	WITHIN(V8, V9)
	WITHIN(V10, V11)
	WITHIN(V12, V13)
	WITHIN(V14, V15)
	ACROSS(0, 1, 16, 17)
	ACROSS(2, 3, 18, 19)
	ACROSS(4, 5, 20, 21)
	ACROSS(6, 7, 22, 23)
	ACROSS(8, 9, 24, 25)
	ACROSS(10, 11, 26, 27)
	ACROSS(12, 13, 28, 29)
	ACROSS(14, 15, 30, 31)
	ACROSS(16, 18, 0, 2)
	ACROSS(17, 19, 1, 3)
	ACROSS(20, 22, 4, 6)
	ACROSS(21, 23, 5, 7)
	ACROSS(24, 26, 8, 10)
	ACROSS(25, 27, 9, 11)
	ACROSS(28, 30, 12, 14)
	ACROSS(29, 31, 13, 15)
	ACROSS(0, 4, 16, 20)
	ACROSS(1, 5, 17, 21)
	ACROSS(2, 6, 18, 22)
	ACROSS(3, 7, 19, 23)
	ACROSS(8, 12, 24, 28)
	ACROSS(9, 13, 25, 29)
	ACROSS(10, 14, 26, 30)
	ACROSS(11, 15, 27, 31)
	ACROSS(16, 24, 0, 8)
	ACROSS(17, 25, 1, 9)
	ACROSS(18, 26, 2, 10)
	ACROSS(19, 27, 3, 11)
	ACROSS(20, 28, 4, 12)
	ACROSS(21, 29, 5, 13)
	ACROSS(22, 30, 6, 14)
	ACROSS(23, 31, 7, 15)
	FMOVS scale+16(FP), F16
	FMULE_4S(0, 16, 0, 0)
	FMULE_4S(0, 16, 1, 1)
	FMULE_4S(0, 16, 2, 2)
	FMULE_4S(0, 16, 3, 3)
	FMULE_4S(0, 16, 4, 4)
	FMULE_4S(0, 16, 5, 5)
	FMULE_4S(0, 16, 6, 6)
	FMULE_4S(0, 16, 7, 7)
	FMULE_4S(0, 16, 8, 8)
	FMULE_4S(0, 16, 9, 9)
	FMULE_4S(0, 16, 10, 10)
	FMULE_4S(0, 16, 11, 11)
	FMULE_4S(0, 16, 12, 12)
	FMULE_4S(0, 16, 13, 13)
	FMULE_4S(0, 16, 14, 14)
	FMULE_4S(0, 16, 15, 15)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R0)
	SUBS $1, R2
	BNE block
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
	FMULE_4S(0, 22, 0, 0)
	FMULE_4S(0, 22, 1, 1)
	FMULE_4S(0, 22, 2, 2)
	FMULE_4S(0, 22, 3, 3)
	FCVTNS_4S(0, 0)
	FCVTNS_4S(1, 1)
	FCVTNS_4S(2, 2)
	FCVTNS_4S(3, 3)
	SQXTN_4H(0, 4)
	SQXTN2_8H(1, 4)
	SQXTN_4H(2, 5)
	SQXTN2_8H(3, 5)
	SQXTN_8B(4, 6)
	SQXTN2_16B(5, 6)
	VST1.P [V6.B16], 16(R1)
	SUBS $16, R2
	BNE next
	RET
