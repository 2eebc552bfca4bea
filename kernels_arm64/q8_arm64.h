// The loop bodies of the int8 products: macros that matmul_neon_arm64.s and matmul_dotprod_arm64.s put together, one
// function per format. A tile is four rows of weights times one or four activation rows; see tile in tile_arm64.go.
//
//	for each group of four rows:
//	    acc, accm = 0                                       // per activation row, lane = weight row
//	    for each block of 32 columns:
//	        w, dw, m = unpack the block of the four rows    // once for all activation rows
//	        for each activation row t:
//	            isum = sum over columns of w * q[t]         // int32, exact
//	            acc[t]  += (dw * d[t]) * float32(isum)      // every operation rounded: the reference's bits
//	            accm[t] += m * s[t]                         // formats with a minimum
//	    dst[t][group] = acc[t] + accm[t]
//
// Integer registers
//	R0 tile; R1-R4 the four weight rows; R5-R8 q, R9-R12 d, R13-R16 s of activation rows 0-3; R17 blocks left (and
//	scratch after the loop); R19 groups left; R20 prefetch pointer; R21 three row strides; R22, R23 bytes of a row of q
//	and of d; R24 offset into dst; R25 scratch; R26 constants
// Vector registers
//	V0-V7 weights as int8; V8-V11 acc; V12-V15 accm; V16 dw, V17 m (lane = row); V18-V31 scratch, V28-V31 constants of
//	the unpacking. With one activation row: V8 acc, V12 accm, V9 and V10 the previous block's isum and dw*d, V11 d,
//	V13 s, V14 and V15 its 32 activations.
// "Row order": V(2r) holds columns 0-15 and V(2r+1) columns 16-31 of row r. "Lane order": V(2g) holds in 32-bit lane r
// the columns 4g to 4g+3 of row r, V(2g+1) columns 16+4g to 16+4g+3.
//
// Over-read: only whole blocks are read. The scale is read as the first four bytes of its block, d is two of them.
// Prefetches may point beyond the weights; they load nothing into registers and cannot fault.

// ---- loop frame ----

#define TILE_START \
	MOVD t+0(FP), R0; \
	MOVD tile_w(R0), R1; \
	MOVD tile_rowStride(R0), R21; \
	MOVD tile_groups(R0), R19; \
	MOVD tile_steps(R0), R23; \
	ADD R21, R1, R2; \
	ADD R21, R2, R3; \
	ADD R21, R3, R4; \
	ADD R21, R4, R20; \
	ADD R21<<1, R21, R21; \
	LSL $5, R23, R22; \
	LSL $2, R23, R23; \
	MOVD ZR, R24

#define TOKENS1 \
	MOVD tile_q(R0), R5; \
	MOVD tile_d(R0), R9; \
	MOVD tile_s(R0), R13

#define TOKENS4 \
	LDP tile_q(R0), (R5, R6); \
	LDP (tile_q+16)(R0), (R7, R8); \
	LDP tile_d(R0), (R9, R10); \
	LDP (tile_d+16)(R0), (R11, R12); \
	LDP tile_s(R0), (R13, R14); \
	LDP (tile_s+16)(R0), (R15, R16)

#define CLEAR(v) VEOR v.B16, v.B16, v.B16

#define GROUP_START4 \
	LSR $2, R23, R17; \
	CLEAR(V8); CLEAR(V9); CLEAR(V10); CLEAR(V11); \
	CLEAR(V12); CLEAR(V13); CLEAR(V14); CLEAR(V15)

// V9 and V10 start as a block that adds +0.
#define GROUP_START1 \
	LSR $2, R23, R17; \
	CLEAR(V8); CLEAR(V9); CLEAR(V10); CLEAR(V12)

// Stores the four rows of each activation row and goes to the next group: the weight pointers are one row further, the
// activations start again. Formats without a minimum never read s, so its pointers are then moved for nothing.
#define GROUP_END4 \
	LDP tile_dst(R0), (R17, R25); \
	ADD R24, R17; \
	ADD R24, R25; \
	VST1 [V8.S4], (R17); \
	VST1 [V9.S4], (R25); \
	LDP (tile_dst+16)(R0), (R17, R25); \
	ADD R24, R17; \
	ADD R24, R25; \
	VST1 [V10.S4], (R17); \
	VST1 [V11.S4], (R25); \
	SUB R22, R6; SUB R22, R7; SUB R22, R8; \
	SUB R23, R10; SUB R23, R11; SUB R23, R12; \
	SUB R23, R14; SUB R23, R15; SUB R23, R16; \
	GROUP_NEXT

#define GROUP_END1 \
	MOVD tile_dst(R0), R17; \
	ADD R24, R17; \
	VST1 [V8.S4], (R17); \
	GROUP_NEXT

#define GROUP_NEXT \
	SUB R22, R5; SUB R23, R9; SUB R23, R13; \
	ADD $16, R24; \
	ADD R21, R1; ADD R21, R2; ADD R21, R3; ADD R21, R4; \
	SUBS $1, R19

// Asks for the next group's weights while this one is computed: four blocks of size bytes per step, contiguous.
#define PREFETCH(size) \
	PRFM (R20), PLDL1KEEP; \
	PRFM 64(R20), PLDL1KEEP; \
	ADD $(4*size), R20

// ---- unpacking ----

// Sixteen packed bytes of each row to V0, V2, V4, V6 and the block's first four bytes (d, then m or data) to V18-V21;
// off is the offset of the packed bytes, size that of the next block.
#define LOAD(off, size) \
	FMOVQ off(R1), F0; \
	FMOVS.P size(R1), F18; \
	FMOVQ off(R2), F2; \
	FMOVS.P size(R2), F19; \
	FMOVQ off(R3), F4; \
	FMOVS.P size(R3), F20; \
	FMOVQ off(R4), F6; \
	FMOVS.P size(R4), F21

// The fifth bits of the four rows to V22-V25; before LOAD, which moves the pointers.
#define LOAD_FIFTH(off) \
	FMOVS off(R1), F22; \
	FMOVS off(R2), F23; \
	FMOVS off(R3), F24; \
	FMOVS off(R4), F25

// Q8_0 {f16 d; 32 int8}: row order already.
#define LOAD_Q80 \
	FMOVQ 18(R1), F1; \
	FMOVQ 18(R2), F3; \
	FMOVQ 18(R3), F5; \
	FMOVQ 18(R4), F7; \
	LOAD(2, 34)

// V18-V21 to V16, the four scales as float32, and for MINIMA the four minima to V17. Three steps of a chain: what stands
// between them hides its latency from an in-order core.
#define SCALES1 \
	VZIP1 V19.H8, V18.H8, V18.H8; \
	VZIP1 V21.H8, V20.H8, V20.H8
#define SCALES2 VZIP1 V20.S4, V18.S4, V18.S4
#define SCALES3 FCVTL_4S(18, 16)
#define MINIMA FCVTL2_4S(18, 17)

// V30 = 15 in each byte.
#define NIBBLE_MASK VMOVI $15, V30.B16

// Low nibbles stay in V0, V2, V4, V6, high nibbles go to V1, V3, V5, V7.
#define NIBBLES \
	VUSHR $4, V0.B16, V1.B16; \
	VUSHR $4, V2.B16, V3.B16; \
	VUSHR $4, V4.B16, V5.B16; \
	VUSHR $4, V6.B16, V7.B16; \
	VAND V30.B16, V0.B16, V0.B16; \
	VAND V30.B16, V2.B16, V2.B16; \
	VAND V30.B16, V4.B16, V4.B16; \
	VAND V30.B16, V6.B16, V6.B16

// V31 = 8 in each byte.
#define EIGHT VMOVI $8, V31.B16

#define MINUS_EIGHT \
	VSUB V31.B16, V0.B16, V0.B16; \
	VSUB V31.B16, V1.B16, V1.B16; \
	VSUB V31.B16, V2.B16, V2.B16; \
	VSUB V31.B16, V3.B16, V3.B16; \
	VSUB V31.B16, V4.B16, V4.B16; \
	VSUB V31.B16, V5.B16, V5.B16; \
	VSUB V31.B16, V6.B16, V6.B16; \
	VSUB V31.B16, V7.B16, V7.B16

// Constants for FIFTH: V28 = bytes 0 and 1, V29 = bytes 2 and 3 (as table indices, eight of each), V31 = one bit per
// byte; fifthRows is defined in matmul_neon_arm64.s.
#define FIFTH_TABLES \
	MOVD $·fifthRows(SB), R26; \
	FMOVQ 0(R26), F28; \
	FMOVQ 16(R26), F29; \
	FMOVQ 32(R26), F31

// Puts the fifth bit of each column, from the 32 bits in h, into bits 4 to 7 of lo and hi (a and b are scratch):
// TBL spreads the bit's byte, CMTST makes the bit 0xFF, SLI inserts that above the nibble.
#define FIFTH(h, lo, hi, a, b) \
	VTBL V28.B16, [h.B16], a.B16; \
	VTBL V29.B16, [h.B16], b.B16; \
	VCMTST V31.B16, a.B16, a.B16; \
	VCMTST V31.B16, b.B16, b.B16; \
	VSLI $4, a.B16, lo.B16; \
	VSLI $4, b.B16, hi.B16

#define FIFTH4 \
	FIFTH(V22, V0, V1, V16, V17); \
	FIFTH(V23, V2, V3, V26, V27); \
	FIFTH(V24, V4, V5, V16, V17); \
	FIFTH(V25, V6, V7, V26, V27)

// Q5_0 is v-16: with the bit clear bits 4 to 7 are ones, with it set zeros. So the bits are inverted before.
#define INVERT_FIFTH \
	NOT_16B(22, 22); \
	NOT_16B(23, 23); \
	NOT_16B(24, 24); \
	NOT_16B(25, 25)

// Q5_1 is v: of bits 4 to 7 only bit 4 is kept.
#define KEEP_FIVE \
	VMOVI $31, V27.B16; \
	VAND V27.B16, V0.B16, V0.B16; \
	VAND V27.B16, V1.B16, V1.B16; \
	VAND V27.B16, V2.B16, V2.B16; \
	VAND V27.B16, V3.B16, V3.B16; \
	VAND V27.B16, V4.B16, V4.B16; \
	VAND V27.B16, V5.B16, V5.B16; \
	VAND V27.B16, V6.B16, V6.B16; \
	VAND V27.B16, V7.B16, V7.B16

// ---- float sums ----

// acc[t] += (dw*d[t]) * isum[t] for the int32 sums in registers r0 to r3. Rounded product by product, as the reference.
#define ACCUMULATE4(r0, r1, r2, r3) \
	FMOVS.P 4(R9), F18; \
	FMOVS.P 4(R10), F19; \
	FMOVS.P 4(R11), F20; \
	FMOVS.P 4(R12), F21; \
	SCVTF_4S(r0, r0); \
	SCVTF_4S(r1, r1); \
	SCVTF_4S(r2, r2); \
	SCVTF_4S(r3, r3); \
	FMULE_4S(0, 18, 16, 18); \
	FMULE_4S(0, 19, 16, 19); \
	FMULE_4S(0, 20, 16, 20); \
	FMULE_4S(0, 21, 16, 21); \
	FMUL_4S(r0, 18, 18); \
	FMUL_4S(r1, 19, 19); \
	FMUL_4S(r2, 20, 20); \
	FMUL_4S(r3, 21, 21); \
	FADD_4S(18, 8, 8); \
	FADD_4S(19, 9, 9); \
	FADD_4S(20, 10, 10); \
	FADD_4S(21, 11, 11)

// accm[t] += m*s[t].
#define ADD_MINIMA4 \
	FMOVS.P 4(R13), F24; \
	FMOVS.P 4(R14), F25; \
	FMOVS.P 4(R15), F30; \
	FMOVS.P 4(R16), F31; \
	FMULE_4S(0, 24, 17, 24); \
	FMULE_4S(0, 25, 17, 25); \
	FMULE_4S(0, 30, 17, 30); \
	FMULE_4S(0, 31, 17, 31); \
	FADD_4S(24, 12, 12); \
	FADD_4S(25, 13, 13); \
	FADD_4S(30, 14, 14); \
	FADD_4S(31, 15, 15)

#define JOIN_MINIMA4 \
	FADD_4S(12, 8, 8); \
	FADD_4S(13, 9, 9); \
	FADD_4S(14, 10, 10); \
	FADD_4S(15, 11, 11)

// With one activation row the sums of a block are added while the next one is multiplied, so that an in-order core does
// not wait for the chain convert, multiply, add. PENDING1 to 3 are that chain; ACTIVATION1 loads the operands of a block;
// SCALED1 leaves dw*d in V10 for the next pass.
#define ACTIVATION1 \
	VLD1.P 32(R5), [V14.B16, V15.B16]; \
	FMOVS.P 4(R9), F11

#define PENDING1 SCVTF_4S(9, 9)
#define PENDING2 FMUL_4S(10, 9, 9)
#define PENDING3 FADD_4S(9, 8, 8)
#define SCALED1 FMULE_4S(0, 11, 16, 10)

#define FLUSH1 PENDING1; PENDING2; PENDING3

// accm += m*s in three steps; NONE stands in their places where there is no minimum.
#define MINIMUM1 FMOVS.P 4(R13), F13; MINIMA
#define MINIMUM2 FMULE_4S(0, 13, 17, 13)
#define MINIMUM3 FADD_4S(13, 12, 12)
#define JOIN_MINIMA1 FADD_4S(12, 8, 8)
#define NONE
