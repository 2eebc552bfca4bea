// Instructions that Go's arm64 assembler does not know, as WORD macros.
//
// Operands are register numbers 0 to 31 of V (or F) registers in Go's order: sources first, destination last, so
// SMULL(m, n, d) is SMULL Vd, Vn, Vm in Arm's notation; an element index i comes first. A suffix is the arrangement of
// the destination, of the source where the destination is one number (UMAXV, FMAXV, SADDLV). Formula: base | m<<16 |
// n<<5 | d (Arm DDI 0487, C4.1 and C7.2). encoding_test.go evaluates these formulas and compares them with published words
// and with a disassembler; a macro without a line there fails the test.
//
// One macro is one instruction: WORD $(0x... | ...). Keep that form, the test parses it.

// Index of a 32-bit element: bit 0 is L (bit 21), bit 1 is H (bit 11).
#define ELEM(i) (((i)&1)<<21 | ((i)>>1)<<11)

// Index of a 16-bit element: bit 0 is M (bit 20), bit 1 is L (bit 21), bit 2 is H (bit 11); the register is one of 0 to 15.
#define ELEMH(i) (((i)&1)<<20 | ((i)>>1&1)<<21 | ((i)>>2)<<11)

// Dot product, d.4S += n.16B . m.16B in fours; by element: m.4B[i]. Needs FEAT_DotProd.
#define SDOT(m, n, d) WORD $(0x4E809400 | (m)<<16 | (n)<<5 | (d))
#define SDOTE(i, m, n, d) WORD $(0x4F80E000 | ELEM(i) | (m)<<16 | (n)<<5 | (d))

// Matrix product, d.4S += n . m transposed, where n and m are 2 rows of 8 bytes and d is (2, 2), row by row. Needs FEAT_I8MM.
#define SMMLA(m, n, d) WORD $(0x4E80A400 | (m)<<16 | (n)<<5 | (d))

// Widening int8 products, d.8H = or += n.8B * m.8B; the 2 forms take the upper halves.
#define SMULL(m, n, d) WORD $(0x0E20C000 | (m)<<16 | (n)<<5 | (d))
#define SMULL2(m, n, d) WORD $(0x4E20C000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL(m, n, d) WORD $(0x0E208000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL2(m, n, d) WORD $(0x4E208000 | (m)<<16 | (n)<<5 | (d))

// Widening int16 products by element, d.4S += n.4H * m.H[i]; the 2 form takes the upper half of n.
#define SMLALE_4S(i, m, n, d) WORD $(0x0F402000 | ELEMH(i) | (m)<<16 | (n)<<5 | (d))
#define SMLALE2_4S(i, m, n, d) WORD $(0x4F402000 | ELEMH(i) | (m)<<16 | (n)<<5 | (d))

// Pairwise sums: ADDP of the concatenation m:n; SADDLP widens neighbours, SADALP adds them to d; SADDLV sums all.
#define ADDP_8H(m, n, d) WORD $(0x4E60BC00 | (m)<<16 | (n)<<5 | (d))
#define ADDP_4S(m, n, d) WORD $(0x4EA0BC00 | (m)<<16 | (n)<<5 | (d))
#define SADDLP_8H(n, d) WORD $(0x4E202800 | (n)<<5 | (d))
#define SADDLP_4S(n, d) WORD $(0x4E602800 | (n)<<5 | (d))
#define SADALP_4S(n, d) WORD $(0x4E606800 | (n)<<5 | (d))
#define SADDLV_8H(n, d) WORD $(0x4E703800 | (n)<<5 | (d))

// Bytes: and-not (n &^ m), signed maximum; signed saturating narrowing to the lower or (2) upper half;
// SXTL widens the lower or (2) upper half.
#define BIC_16B(m, n, d) WORD $(0x4E601C00 | (m)<<16 | (n)<<5 | (d))
#define SQXTN_4H(n, d) WORD $(0x0E614800 | (n)<<5 | (d))
#define SQXTN2_8H(n, d) WORD $(0x4E614800 | (n)<<5 | (d))
#define SQXTN_8B(n, d) WORD $(0x0E214800 | (n)<<5 | (d))
#define SQXTN2_16B(n, d) WORD $(0x4E214800 | (n)<<5 | (d))
#define SXTL_8H(n, d) WORD $(0x0F08A400 | (n)<<5 | (d))
#define SXTL2_8H(n, d) WORD $(0x4F08A400 | (n)<<5 | (d))
#define SXTL_4S(n, d) WORD $(0x0F10A400 | (n)<<5 | (d))
#define SXTL2_4S(n, d) WORD $(0x4F10A400 | (n)<<5 | (d))
#define UMAXV_4S(n, d) WORD $(0x6EB0A800 | (n)<<5 | (d))

// Clears without reading: MOVI .2D #0, which big cores do without an execution unit.
#define ZERO(d) WORD $(0x6F00E400 | (d))

// float32 x 4.
#define FADD_4S(m, n, d) WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d))
#define FSUB_4S(m, n, d) WORD $(0x4EA0D400 | (m)<<16 | (n)<<5 | (d))
#define FMUL_4S(m, n, d) WORD $(0x6E20DC00 | (m)<<16 | (n)<<5 | (d))
#define FMULE_4S(i, m, n, d) WORD $(0x4F809000 | ELEM(i) | (m)<<16 | (n)<<5 | (d))
#define FDIV_4S(m, n, d) WORD $(0x6E20FC00 | (m)<<16 | (n)<<5 | (d))
#define FMLA_4S(m, n, d) WORD $(0x4E20CC00 | (m)<<16 | (n)<<5 | (d))
#define FMLAE_4S(i, m, n, d) WORD $(0x4F801000 | ELEM(i) | (m)<<16 | (n)<<5 | (d))
#define FMLS_4S(m, n, d) WORD $(0x4EA0CC00 | (m)<<16 | (n)<<5 | (d))
#define FADDP_4S(m, n, d) WORD $(0x6E20D400 | (m)<<16 | (n)<<5 | (d))
#define FMAX_4S(m, n, d) WORD $(0x4E20F400 | (m)<<16 | (n)<<5 | (d))
#define FMIN_4S(m, n, d) WORD $(0x4EA0F400 | (m)<<16 | (n)<<5 | (d))
#define FMAXV_4S(n, d) WORD $(0x6E30F800 | (n)<<5 | (d))
#define FNEG_4S(n, d) WORD $(0x6EA0F800 | (n)<<5 | (d))
#define FCMGT_4S(m, n, d) WORD $(0x6EA0E400 | (m)<<16 | (n)<<5 | (d))

// float64 x 2.
#define FADD_2D(m, n, d) WORD $(0x4E60D400 | (m)<<16 | (n)<<5 | (d))
#define FMLA_2D(m, n, d) WORD $(0x4E60CC00 | (m)<<16 | (n)<<5 | (d))

// Conversions: int32 to float32, uint32 with k binary places to float32, float32 to int32 (nearest, ties to even), binary16 to and from float32, float32 to
// float64; the 2 forms take or fill the upper half. SHLL shifts left by 16 while widening: bfloat16 to float32.
#define SCVTF_4S(n, d) WORD $(0x4E21D800 | (n)<<5 | (d))
#define UCVTFN_4S(k, n, d) WORD $(0x6F00E400 | (64-(k))<<16 | (n)<<5 | (d))
#define FCVTNS_4S(n, d) WORD $(0x4E21A800 | (n)<<5 | (d))
#define FCVTL_4S(n, d) WORD $(0x0E217800 | (n)<<5 | (d))
#define FCVTL2_4S(n, d) WORD $(0x4E217800 | (n)<<5 | (d))
#define FCVTN_4H(n, d) WORD $(0x0E216800 | (n)<<5 | (d))
#define FCVTN2_8H(n, d) WORD $(0x4E216800 | (n)<<5 | (d))
#define FCVTL_2D(n, d) WORD $(0x0E617800 | (n)<<5 | (d))
#define FCVTL2_2D(n, d) WORD $(0x4E617800 | (n)<<5 | (d))
#define SHLL_4S(n, d) WORD $(0x2E613800 | (n)<<5 | (d))
#define SHLL2_4S(n, d) WORD $(0x6E613800 | (n)<<5 | (d))
