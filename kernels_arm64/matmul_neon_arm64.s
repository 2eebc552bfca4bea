//go:build !purego

// int8 products of quantised weights with plain NEON (ARMv8.0). The algorithm, the registers and the
// over-read rule are in q8_arm64.h; every function has the signature
//
//	func matMul<weights>Q8NEON<activation rows>(t *tile)
//
// and gives the bits of the scalar reference: integers are exact, floats are rounded in its order.

#include "go_asm.h"
#include "textflag.h"
#include "neon_arm64.h"
#include "q8_arm64.h"

// Tables of FIFTH: the byte of the 32 fifth bits that holds each of columns 0-15, 16-31, and the bit within the byte.
DATA ·fifthRows+0(SB)/8, $0x0000000000000000
DATA ·fifthRows+8(SB)/8, $0x0101010101010101
DATA ·fifthRows+16(SB)/8, $0x0202020202020202
DATA ·fifthRows+24(SB)/8, $0x0303030303030303
DATA ·fifthRows+32(SB)/8, $0x8040201008040201
DATA ·fifthRows+40(SB)/8, $0x8040201008040201
GLOBL ·fifthRows(SB), RODATA|NOPTR, $48

// The four quarters of 32 products per row, weights in row order, activations in registers q (columns 0-15) or q
// (columns 16-31), one int16 accumulator of eight lanes per row. |weight| <= 31, |activation| <= 127: a lane holds four
// products, at most 4*31*127 = 15748 in size.
#define QUARTER1(q, a, b, c, d) SMULL(q, 0, a); SMULL(q, 2, b); SMULL(q, 4, c); SMULL(q, 6, d)
#define QUARTER2(q, a, b, c, d) SMLAL2(q, 0, a); SMLAL2(q, 2, b); SMLAL2(q, 4, c); SMLAL2(q, 6, d)
#define QUARTER3(q, a, b, c, d) SMLAL(q, 1, a); SMLAL(q, 3, b); SMLAL(q, 5, c); SMLAL(q, 7, d)
#define QUARTER4(q, a, b, c, d) SMLAL2(q, 1, a); SMLAL2(q, 3, b); SMLAL2(q, 5, c); SMLAL2(q, 7, d)

// First step of the reduction: a = rows 0 and 1, c = rows 2 and 3; eight products per lane, at most 8*31*127 = 31496.
#define PAIR(a, b, c, d) ADDP_8H(b, a, a); ADDP_8H(d, c, c)

// Last steps, to int32 with lane = row. Narrow: |weight| <= 16, so sixteen products, at most 16*16*127 = 32512, still fit
// int16 (Q4_0, Q4_1, Q5_0). Medium: up to 31 (Q5_1), widened one step earlier.
#define REDUCE_NARROW(a, c, r) ADDP_8H(c, a, r); SADDLP_4S(r, r)
#define REDUCE_MEDIUM(a, c, r) SADDLP_4S(a, a); SADDLP_4S(c, c); ADDP_4S(c, a, r)

// Four activation rows; the reduction of one is placed among the products of the next. Sums: V22, V26, V23, V27.
#define MULTIPLY4(reduce) \
	VLD1.P 32(R5), [V18.B16, V19.B16]; \
	VLD1.P 32(R6), [V20.B16, V21.B16]; \
	QUARTER1(18, 22, 23, 24, 25); \
	QUARTER2(18, 22, 23, 24, 25); \
	QUARTER3(19, 22, 23, 24, 25); \
	QUARTER4(19, 22, 23, 24, 25); \
	VLD1.P 32(R7), [V18.B16, V19.B16]; \
	QUARTER1(20, 26, 27, 28, 29); \
	PAIR(22, 23, 24, 25); \
	QUARTER2(20, 26, 27, 28, 29); \
	QUARTER3(21, 26, 27, 28, 29); \
	reduce(22, 24, 22); \
	QUARTER4(21, 26, 27, 28, 29); \
	VLD1.P 32(R8), [V20.B16, V21.B16]; \
	QUARTER1(18, 23, 24, 25, 30); \
	PAIR(26, 27, 28, 29); \
	QUARTER2(18, 23, 24, 25, 30); \
	QUARTER3(19, 23, 24, 25, 30); \
	reduce(26, 28, 26); \
	QUARTER4(19, 23, 24, 25, 30); \
	QUARTER1(20, 27, 28, 29, 31); \
	PAIR(23, 24, 25, 30); \
	QUARTER2(20, 27, 28, 29, 31); \
	QUARTER3(21, 27, 28, 29, 31); \
	reduce(23, 25, 23); \
	QUARTER4(21, 27, 28, 29, 31); \
	PAIR(27, 28, 29, 31); \
	reduce(27, 29, 27)

// One activation row in V14, V15; the sum goes to V9. Between the products stand the conversion of the block's scales
// and the float sums of the block before, whose int32 sum rest completes; min1 to min3 are MINIMUM1 to 3 or NONE.
#define MULTIPLY1(rest, min1, min2, min3) \
	QUARTER1(14, 22, 23, 24, 25); \
	rest; \
	SCALES1; \
	QUARTER2(14, 22, 23, 24, 25); \
	PENDING1; \
	SCALES2; \
	QUARTER3(15, 22, 23, 24, 25); \
	PENDING2; \
	SCALES3; \
	min1; \
	QUARTER4(15, 22, 23, 24, 25); \
	PENDING3; \
	SCALED1; \
	min2; \
	PAIR(22, 23, 24, 25); \
	min3

#define REDUCE1_NARROW ADDP_8H(24, 22, 9)
#define REST_NARROW SADDLP_4S(9, 9)
#define REDUCE1_MEDIUM REDUCE_MEDIUM(22, 24, 9)

// Q8_0: |weight| <= 128, so int16 holds two products (2*128*127 = 32512) and each half block has its own accumulators.
#define WIDE1(q) SMULL(q, 1, 26); SMULL(q, 3, 27); SMULL(q, 5, 28); SMULL(q, 7, 29)
#define WIDE2(q) SMULL(q, 0, 22); SMULL(q, 2, 23); SMULL(q, 4, 24); SMULL(q, 6, 25)
#define WIDE3(q) SMLAL2(q, 1, 26); SMLAL2(q, 3, 27); SMLAL2(q, 5, 28); SMLAL2(q, 7, 29)
#define WIDE4(q) SMLAL2(q, 0, 22); SMLAL2(q, 2, 23); SMLAL2(q, 4, 24); SMLAL2(q, 6, 25)
#define WIDE5 \
	SADDLP_4S(22, 22); SADDLP_4S(23, 23); SADDLP_4S(24, 24); SADDLP_4S(25, 25); \
	SADALP_4S(26, 22); SADALP_4S(27, 23); SADALP_4S(28, 24); SADALP_4S(29, 25); \
	ADDP_4S(23, 22, 22); ADDP_4S(25, 24, 24)
#define WIDE6(r) ADDP_4S(24, 22, r)

// MULTIPLY1 for Q8_0.
#define MULTIPLY1_WIDE \
	WIDE1(15); \
	SCALES1; \
	WIDE2(14); \
	PENDING1; \
	SCALES2; \
	WIDE3(15); \
	PENDING2; \
	SCALES3; \
	WIDE4(14); \
	PENDING3; \
	SCALED1; \
	WIDE5

// Four activation rows of Q8_0. Sums: V12 to V15, free because there is no minimum.
#define MULTIPLY4_WIDE \
	VLD1.P 32(R5), [V18.B16, V19.B16]; \
	VLD1.P 32(R6), [V20.B16, V21.B16]; \
	WIDE1(19); WIDE2(18); WIDE3(19); WIDE4(18); WIDE5; \
	VLD1.P 32(R7), [V18.B16, V19.B16]; \
	WIDE1(21); WIDE6(12); WIDE2(20); WIDE3(21); WIDE4(20); WIDE5; \
	VLD1.P 32(R8), [V20.B16, V21.B16]; \
	WIDE1(19); WIDE6(13); WIDE2(18); WIDE3(19); WIDE4(18); WIDE5; \
	WIDE1(21); WIDE6(14); WIDE2(20); WIDE3(21); WIDE4(20); WIDE5; \
	WIDE6(15)

// func matMulQ40Q8NEON4(t *tile)
// {f16 d; 16 bytes}, weight (nibble-8)*dw; four activation rows.
TEXT ·matMulQ40Q8NEON4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD(2, 18)
	SCALES1
	NIBBLE_MASK
	EIGHT
	NIBBLES
	SCALES2
	MINUS_EIGHT
	SCALES3
	PREFETCH(18)
	MULTIPLY4(REDUCE_NARROW)
	ACCUMULATE4(22, 26, 23, 27)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ40Q8NEON1(t *tile)
// {f16 d; 16 bytes}, weight (nibble-8)*dw; one activation row.
TEXT ·matMulQ40Q8NEON1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1
	NIBBLE_MASK
	EIGHT

group:
	GROUP_START1

block:
	LOAD(2, 18)
	ACTIVATION1
	NIBBLES
	MINUS_EIGHT
	MULTIPLY1(REST_NARROW, NONE, NONE, NONE)
	PREFETCH(18)
	REDUCE1_NARROW
	SUBS $1, R17
	BNE block
	REST_NARROW
	FLUSH1
	GROUP_END1
	BNE group
	RET

// func matMulQ41Q8NEON4(t *tile)
// {f16 d; f16 m; 16 bytes}, weight nibble*dw + m; four activation rows.
TEXT ·matMulQ41Q8NEON4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD(4, 20)
	SCALES1
	NIBBLE_MASK
	SCALES2
	NIBBLES
	SCALES3
	MINIMA
	PREFETCH(20)
	MULTIPLY4(REDUCE_NARROW)
	ACCUMULATE4(22, 26, 23, 27)
	ADD_MINIMA4
	SUBS $1, R17
	BNE block
	JOIN_MINIMA4
	GROUP_END4
	BNE group
	RET

// func matMulQ41Q8NEON1(t *tile)
// {f16 d; f16 m; 16 bytes}, weight nibble*dw + m; one activation row.
TEXT ·matMulQ41Q8NEON1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1
	NIBBLE_MASK

group:
	GROUP_START1

block:
	LOAD(4, 20)
	ACTIVATION1
	NIBBLES
	MULTIPLY1(REST_NARROW, MINIMUM1, MINIMUM2, MINIMUM3)
	PREFETCH(20)
	REDUCE1_NARROW
	SUBS $1, R17
	BNE block
	REST_NARROW
	FLUSH1
	JOIN_MINIMA1
	GROUP_END1
	BNE group
	RET

// func matMulQ50Q8NEON4(t *tile)
// {f16 d; u32 fifth bits; 16 bytes}, weight (v-16)*dw; four activation rows.
TEXT ·matMulQ50Q8NEON4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_FIFTH(2)
	LOAD(6, 22)
	SCALES1
	FIFTH_TABLES
	NIBBLE_MASK
	NIBBLES
	INVERT_FIFTH
	SCALES2
	FIFTH4
	SCALES3
	PREFETCH(22)
	MULTIPLY4(REDUCE_NARROW)
	ACCUMULATE4(22, 26, 23, 27)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ50Q8NEON1(t *tile)
// {f16 d; u32 fifth bits; 16 bytes}, weight (v-16)*dw; one activation row.
TEXT ·matMulQ50Q8NEON1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1
	FIFTH_TABLES
	NIBBLE_MASK

group:
	GROUP_START1

block:
	LOAD_FIFTH(2)
	LOAD(6, 22)
	ACTIVATION1
	NIBBLES
	INVERT_FIFTH
	FIFTH4
	MULTIPLY1(REST_NARROW, NONE, NONE, NONE)
	PREFETCH(22)
	REDUCE1_NARROW
	SUBS $1, R17
	BNE block
	REST_NARROW
	FLUSH1
	GROUP_END1
	BNE group
	RET

// func matMulQ51Q8NEON4(t *tile)
// {f16 d; f16 m; u32 fifth bits; 16 bytes}, weight v*dw + m; four activation rows.
TEXT ·matMulQ51Q8NEON4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_FIFTH(4)
	LOAD(8, 24)
	SCALES1
	FIFTH_TABLES
	NIBBLE_MASK
	NIBBLES
	FIFTH4
	SCALES2
	KEEP_FIVE
	SCALES3
	MINIMA
	PREFETCH(24)
	MULTIPLY4(REDUCE_MEDIUM)
	ACCUMULATE4(22, 26, 23, 27)
	ADD_MINIMA4
	SUBS $1, R17
	BNE block
	JOIN_MINIMA4
	GROUP_END4
	BNE group
	RET

// func matMulQ51Q8NEON1(t *tile)
// {f16 d; f16 m; u32 fifth bits; 16 bytes}, weight v*dw + m; one activation row.
TEXT ·matMulQ51Q8NEON1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1
	FIFTH_TABLES
	NIBBLE_MASK

group:
	GROUP_START1

block:
	LOAD_FIFTH(4)
	LOAD(8, 24)
	ACTIVATION1
	NIBBLES
	FIFTH4
	KEEP_FIVE
	MULTIPLY1(NONE, MINIMUM1, MINIMUM2, MINIMUM3)
	PREFETCH(24)
	REDUCE1_MEDIUM
	SUBS $1, R17
	BNE block
	FLUSH1
	JOIN_MINIMA1
	GROUP_END1
	BNE group
	RET

// func matMulQ80Q8NEON4(t *tile)
// {f16 d; 32 int8}, weight v*dw; four activation rows.
TEXT ·matMulQ80Q8NEON4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_Q80
	SCALES1
	SCALES2
	SCALES3
	PREFETCH(34)
	MULTIPLY4_WIDE
	ACCUMULATE4(12, 13, 14, 15)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ80Q8NEON1(t *tile)
// {f16 d; 32 int8}, weight v*dw; one activation row.
TEXT ·matMulQ80Q8NEON1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1

group:
	GROUP_START1

block:
	LOAD_Q80
	ACTIVATION1
	MULTIPLY1_WIDE
	PREFETCH(34)
	WIDE6(9)
	SUBS $1, R17
	BNE block
	FLUSH1
	GROUP_END1
	BNE group
	RET
