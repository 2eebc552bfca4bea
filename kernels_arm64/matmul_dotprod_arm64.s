//go:build !purego

// int8 products of quantised weights with SDOT (FEAT_DotProd). The algorithm, the registers and the
// over-read rule are in q8_arm64.h; every function has the signature
//
//	func matMul<weights>Q8DotProd<activation rows>(t *tile)
//
// and gives the bits of the scalar reference: integers are exact, floats are rounded in its order.

#include "go_asm.h"
#include "textflag.h"
#include "neon_arm64.h"
#include "q8_arm64.h"

// Tables of FIFTH_LANES: byte b of each 32-bit lane, spread over the lane, for b = 0 to 3; the bit of an even and of an
// odd group of four columns.
DATA ·fifthLanes+0(SB)/8, $0x0404040400000000
DATA ·fifthLanes+8(SB)/8, $0x0c0c0c0c08080808
DATA ·fifthLanes+16(SB)/8, $0x0505050501010101
DATA ·fifthLanes+24(SB)/8, $0x0d0d0d0d09090909
DATA ·fifthLanes+32(SB)/8, $0x0606060602020202
DATA ·fifthLanes+40(SB)/8, $0x0e0e0e0e0a0a0a0a
DATA ·fifthLanes+48(SB)/8, $0x0707070703030303
DATA ·fifthLanes+56(SB)/8, $0x0f0f0f0f0b0b0b0b
DATA ·fifthLanes+64(SB)/8, $0x0804020108040201
DATA ·fifthLanes+72(SB)/8, $0x0804020108040201
DATA ·fifthLanes+80(SB)/8, $0x8040201080402010
DATA ·fifthLanes+88(SB)/8, $0x8040201080402010
GLOBL ·fifthLanes(SB), RODATA|NOPTR, $96

// Sixteen bytes of four rows, a 4 x 4 matrix of 32-bit words, transposed: with nibbles split afterwards, row order
// becomes lane order.
#define TRANSPOSE(a, b, c, d) \
	VTRN1 b.S4, a.S4, V26.S4; \
	VTRN2 b.S4, a.S4, V27.S4; \
	VTRN1 d.S4, c.S4, V28.S4; \
	VTRN2 d.S4, c.S4, V29.S4; \
	VTRN1 V28.D2, V26.D2, a.D2; \
	VTRN1 V29.D2, V27.D2, b.D2; \
	VTRN2 V28.D2, V26.D2, c.D2; \
	VTRN2 V29.D2, V27.D2, d.D2

// The fifth bits of the four rows as one word per lane in V22.
#define GATHER_FIFTH \
	VZIP1 V23.S4, V22.S4, V22.S4; \
	VZIP1 V25.S4, V24.S4, V24.S4; \
	VZIP1 V24.D2, V22.D2, V22.D2

// FIFTH4 for lane order, from V22: TBL spreads each byte of a row's word over its lane, CMTST picks the bit of each
// column, SLI inserts it above the nibble.
#define FIFTH_LANES \
	MOVD $·fifthLanes(SB), R26; \
	FLDPQ 0(R26), (F26, F27); \
	FLDPQ 32(R26), (F28, F29); \
	FLDPQ 64(R26), (F30, F31); \
	VTBL V26.B16, [V22.B16], V26.B16; \
	VTBL V27.B16, [V22.B16], V27.B16; \
	VTBL V28.B16, [V22.B16], V28.B16; \
	VTBL V29.B16, [V22.B16], V29.B16; \
	FIFTH_LANE(V26, V0, V2); \
	FIFTH_LANE(V27, V4, V6); \
	FIFTH_LANE(V28, V1, V3); \
	FIFTH_LANE(V29, V5, V7)

#define FIFTH_LANE(h, even, odd) \
	VCMTST V30.B16, h.B16, V23.B16; \
	VCMTST V31.B16, h.B16, V24.B16; \
	VSLI $4, V23.B16, even.B16; \
	VSLI $4, V24.B16, odd.B16

// Four activation rows (V18 to V25), weights in lane order: the activations are the element operand, so each int32 lane
// is the sum of its row. Sums: V26 to V29.
#define MULTIPLY4 \
	VLD1.P 32(R5), [V18.B16, V19.B16]; \
	VLD1.P 32(R6), [V20.B16, V21.B16]; \
	VLD1.P 32(R7), [V22.B16, V23.B16]; \
	VLD1.P 32(R8), [V24.B16, V25.B16]; \
	CLEAR(V26); CLEAR(V27); CLEAR(V28); CLEAR(V29); \
	COLUMNS4(0, 0, 18, 20, 22, 24); \
	COLUMNS4(1, 2, 18, 20, 22, 24); \
	COLUMNS4(2, 4, 18, 20, 22, 24); \
	COLUMNS4(3, 6, 18, 20, 22, 24); \
	COLUMNS4(0, 1, 19, 21, 23, 25); \
	COLUMNS4(1, 3, 19, 21, 23, 25); \
	COLUMNS4(2, 5, 19, 21, 23, 25); \
	COLUMNS4(3, 7, 19, 21, 23, 25)

#define COLUMNS4(i, w, a, b, c, d) SDOTE(i, a, w, 26); SDOTE(i, b, w, 27); SDOTE(i, c, w, 28); SDOTE(i, d, w, 29)

// One activation row (V14, V15), weights in row order: transposing would cost more than the three pairwise sums. Between
// the products stand the conversion of the block's scales and the float sums of the block before; min1 to min3 are
// MINIMUM1 to 3 or NONE.
#define MULTIPLY1(min1, min2, min3) \
	SCALES1; \
	CLEAR(V22); CLEAR(V23); CLEAR(V24); CLEAR(V25); \
	PENDING1; \
	SDOT(14, 0, 22); SDOT(14, 2, 23); SDOT(14, 4, 24); SDOT(14, 6, 25); \
	SCALES2; \
	PENDING2; \
	SDOT(15, 1, 22); SDOT(15, 3, 23); SDOT(15, 5, 24); SDOT(15, 7, 25); \
	SCALES3; \
	min1; \
	PENDING3; \
	ADDP_4S(23, 22, 22); ADDP_4S(25, 24, 24); \
	SCALED1; \
	min2; \
	min3

#define REDUCE1 ADDP_4S(24, 22, 9)

// func matMulQ40Q8DotProd4(t *tile)
// {f16 d; 16 bytes}, weight (nibble-8)*dw; four activation rows.
TEXT ·matMulQ40Q8DotProd4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD(2, 18)
	SCALES1
	TRANSPOSE(V0, V2, V4, V6)
	NIBBLE_MASK
	EIGHT
	NIBBLES
	SCALES2
	MINUS_EIGHT
	SCALES3
	PREFETCH(18)
	MULTIPLY4
	ACCUMULATE4(26, 27, 28, 29)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ40Q8DotProd1(t *tile)
// {f16 d; 16 bytes}, weight (nibble-8)*dw; one activation row.
TEXT ·matMulQ40Q8DotProd1(SB), NOSPLIT, $0-8
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
	MULTIPLY1(NONE, NONE, NONE)
	PREFETCH(18)
	REDUCE1
	SUBS $1, R17
	BNE block
	FLUSH1
	GROUP_END1
	BNE group
	RET

// func matMulQ41Q8DotProd4(t *tile)
// {f16 d; f16 m; 16 bytes}, weight nibble*dw + m; four activation rows.
TEXT ·matMulQ41Q8DotProd4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD(4, 20)
	SCALES1
	TRANSPOSE(V0, V2, V4, V6)
	NIBBLE_MASK
	SCALES2
	NIBBLES
	SCALES3
	MINIMA
	PREFETCH(20)
	MULTIPLY4
	ACCUMULATE4(26, 27, 28, 29)
	ADD_MINIMA4
	SUBS $1, R17
	BNE block
	JOIN_MINIMA4
	GROUP_END4
	BNE group
	RET

// func matMulQ41Q8DotProd1(t *tile)
// {f16 d; f16 m; 16 bytes}, weight nibble*dw + m; one activation row.
TEXT ·matMulQ41Q8DotProd1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1
	NIBBLE_MASK

group:
	GROUP_START1

block:
	LOAD(4, 20)
	ACTIVATION1
	NIBBLES
	MULTIPLY1(MINIMUM1, MINIMUM2, MINIMUM3)
	PREFETCH(20)
	REDUCE1
	SUBS $1, R17
	BNE block
	FLUSH1
	JOIN_MINIMA1
	GROUP_END1
	BNE group
	RET

// func matMulQ50Q8DotProd4(t *tile)
// {f16 d; u32 fifth bits; 16 bytes}, weight (v-16)*dw; four activation rows.
TEXT ·matMulQ50Q8DotProd4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_FIFTH(2)
	LOAD(6, 22)
	SCALES1
	INVERT_FIFTH
	GATHER_FIFTH
	TRANSPOSE(V0, V2, V4, V6)
	NIBBLE_MASK
	NIBBLES
	SCALES2
	FIFTH_LANES
	SCALES3
	PREFETCH(22)
	MULTIPLY4
	ACCUMULATE4(26, 27, 28, 29)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ50Q8DotProd1(t *tile)
// {f16 d; u32 fifth bits; 16 bytes}, weight (v-16)*dw; one activation row.
TEXT ·matMulQ50Q8DotProd1(SB), NOSPLIT, $0-8
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
	MULTIPLY1(NONE, NONE, NONE)
	PREFETCH(22)
	REDUCE1
	SUBS $1, R17
	BNE block
	FLUSH1
	GROUP_END1
	BNE group
	RET

// func matMulQ51Q8DotProd4(t *tile)
// {f16 d; f16 m; u32 fifth bits; 16 bytes}, weight v*dw + m; four activation rows.
TEXT ·matMulQ51Q8DotProd4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_FIFTH(4)
	LOAD(8, 24)
	SCALES1
	GATHER_FIFTH
	TRANSPOSE(V0, V2, V4, V6)
	NIBBLE_MASK
	NIBBLES
	FIFTH_LANES
	SCALES2
	KEEP_FIVE
	SCALES3
	MINIMA
	PREFETCH(24)
	MULTIPLY4
	ACCUMULATE4(26, 27, 28, 29)
	ADD_MINIMA4
	SUBS $1, R17
	BNE block
	JOIN_MINIMA4
	GROUP_END4
	BNE group
	RET

// func matMulQ51Q8DotProd1(t *tile)
// {f16 d; f16 m; u32 fifth bits; 16 bytes}, weight v*dw + m; one activation row.
TEXT ·matMulQ51Q8DotProd1(SB), NOSPLIT, $0-8
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
	MULTIPLY1(MINIMUM1, MINIMUM2, MINIMUM3)
	PREFETCH(24)
	REDUCE1
	SUBS $1, R17
	BNE block
	FLUSH1
	JOIN_MINIMA1
	GROUP_END1
	BNE group
	RET

// func matMulQ80Q8DotProd4(t *tile)
// {f16 d; 32 int8}, weight v*dw; four activation rows.
TEXT ·matMulQ80Q8DotProd4(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS4

group:
	GROUP_START4

block:
	LOAD_Q80
	SCALES1
	TRANSPOSE(V0, V2, V4, V6)
	SCALES2
	TRANSPOSE(V1, V3, V5, V7)
	SCALES3
	PREFETCH(34)
	MULTIPLY4
	ACCUMULATE4(26, 27, 28, 29)
	SUBS $1, R17
	BNE block
	GROUP_END4
	BNE group
	RET

// func matMulQ80Q8DotProd1(t *tile)
// {f16 d; 32 int8}, weight v*dw; one activation row.
TEXT ·matMulQ80Q8DotProd1(SB), NOSPLIT, $0-8
	TILE_START
	TOKENS1

group:
	GROUP_START1

block:
	LOAD_Q80
	ACTIVATION1
	MULTIPLY1(NONE, NONE, NONE)
	PREFETCH(34)
	REDUCE1
	SUBS $1, R17
	BNE block
	FLUSH1
	GROUP_END1
	BNE group
	RET
