//go:build !purego

package kernels

import (
	"fmt"
	"unsafe"
)

const (
	// blockLen is the number of columns that share a scale in the activations.
	blockLen = 32
	// actBytes is the size of a block of activations (quant.Act).
	actBytes = 64
	// packRows is the number of rows that are packed together, and unpacked together.
	packRows = 16
	// unpackedBlocks is the most blocks of 32 columns that are unpacked together: one block of the K formats.
	unpackedBlocks = 8
	// maxTokens bounds the activation rows of one call of assembly, which nothing can preempt: 16 rows, 256 columns and 128
	// activation rows are 2^19 multiplications. A Cortex-A53 at 1 GHz does at least 2.5 per nanosecond (static estimate,
	// llvm-mca, in order): 210 us.
	maxTokens = 128
	// fewTokens is how many activation rows the last rows of a matrix, fewer than packRows, are computed with at a time.
	fewTokens = 16
	// pairFrom is the number of activation rows from which on SMMLA is worth that the tile is paired for it: that costs a Neoverse N2
	// 32 cycles for 512 weights, and SMMLA saves it 6 to 10 of 52 to 76 for two rows (static estimate, llvm-mca).
	pairFrom = 8
	// pairTokens is how many activation rows a product with SMMLA takes at a time.
	pairTokens = 2
	// directMACs bounds the multiplications of one call for one activation row; a Cortex-A53 at 1 GHz does at least 1.35 per
	// nanosecond (static estimate, llvm-mca, in order): 195 us. A call takes at least a group of rows, so it passes 250 us
	// there if these have more than about 20,000 columns.
	directMACs = 1 << 18
)

// unpacked is a tile: packRows rows of up to unpackedBlocks blocks, as kernels_arm64/_asm describes it.
type unpacked [unpackedBlocks]struct {
	w      [8][packRows][4]int8
	scales [2][packRows]float32
	minima [2][packRows]float32
}

// pass is the argument of a product of a tile. Assembly reads the fields by name (go_asm.h).
type pass struct {
	tile      *byte // an unpacked, or packed blocks of Q8_0
	acts      *byte // the first activation row's block
	stride    int   // bytes from one block of activations to the next
	blocks    int   // in the tile, at least 1
	dst       *float32
	dstStride int // bytes
	groups    int // groups of activation rows of the function's size, at least 1
	add       int // 0: dst is overwritten
}

// direct is the argument of a product of packed rows with one activation row.
type direct struct {
	tile   *unpacked // place for the scales of a block
	w      *byte
	acts   *byte
	stride int // bytes from one block of activations to the next
	blocks int // of the format, at least 1
	groups int // of packRows rows, one behind the other in w and in dst; at least 1
	dst    *float32
	add    int // 0: dst is overwritten
}

// Format is a format of quantised weights, named as in GGUF.
type Format uint8

// The formats that have an int8 product.
const (
	Q40 Format = iota
	Q41
	Q50
	Q51
	Q80
	IQ4NL
	IQ4XS
	Q2K
	Q3K
	Q4K
	Q5K
	Q6K
	numFormats
)

// Scratch is the memory that a product needs besides its operands, 11 KiB. Its contents mean nothing between calls; the zero
// value is ready. It is the caller's because to clear that much in every call would cost more than a small product.
type Scratch struct {
	rows   [packRows]*byte // tight rows of the group
	packed []byte          // packed rows of the group
	gather [packRows * maxPartBytes]byte
	tile   unpacked
}

// MatMulNEON multiplies rows of quantised weights with 8-bit activations:
//
//	dst[t*dstStride+r] = dot(w row r, activation row t)   for r < rows, t < n
//
// w is (rows, cols), tight rows of blocks, or, if packed, whole groups of 16 rows as quant.PackGroup interleaves them with
// units of 4 bytes; acts is (cols/32, n) quant.Acts; cols is a positive multiple of the length of a block; dst holds
// (n-1)*dstStride+rows values. The bits are those of quant.MatMulQ8 with every fma rounded once. It panics if a length
// does not fit.
func MatMulNEON(s *Scratch, f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	matMul(s, isaNEON, f, packed, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulDotProd is MatMulNEON with SDOT; the CPU must have it (HasDotProd).
func MatMulDotProd(s *Scratch, f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	matMul(s, isaDotProd, f, packed, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulI8MM is MatMulDotProd with SMMLA where there are enough activation rows; the CPU must have it (HasI8MM).
func MatMulI8MM(s *Scratch, f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	matMul(s, isaI8MM, f, packed, dst, dstStride, w, rows, cols, acts, n)
}

// isa is an instruction set of the int8 products.
type isa uint8

const (
	isaNEON isa = iota
	isaDotProd
	isaI8MM // and SDOT
)

// product8 is one call of an exported int8 product.
type product8 struct {
	layout
	isa       isa
	direct    bool // there is a product for one activation row
	format    Format
	packed    bool
	dst       []float32
	dstStride int
	w         []byte
	rowBytes  int
	blocks    int // of 32 columns in a row
	acts      []byte
	n         int
}

func matMul(s *Scratch, with isa, f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte,
	n int,
) {
	if f >= numFormats {
		panic(fmt.Sprintf("kernels: format %d", f))
	}
	p := product8{
		layout: f.layout(), isa: with, direct: f.hasDirect(with != isaNEON), format: f, packed: packed, dst: dst, dstStride: dstStride, w: w,
		blocks: cols / blockLen, acts: acts, n: n,
	}
	if cols%p.columns != 0 || packed && rows%packRows != 0 {
		panic(fmt.Sprintf("kernels: product of %d rows, %d columns of blocks of %d", rows, cols, p.columns))
	}
	p.rowBytes = cols / p.columns * p.bytes
	check := product{dst: dst, dstStride: dstStride, w: w, rowBytes: p.rowBytes, rows: rows, cols: cols, n: n}
	if !check.check() {
		return
	}
	mustLen("quantised activations", len(acts), n*p.blocks*actBytes)
	raceRead(w[:rows*p.rowBytes])
	raceRead(acts)
	for t := range n {
		raceWrite(dst[t*dstStride:][:rows])
	}
	p.run(s, rows)
	s.rows, s.packed = [packRows]*byte{}, nil // keeps nothing of the caller's
}

// run computes groups of packRows rows, weights outermost so that each is fetched from memory once.
func (p *product8) run(t *Scratch, rows int) {
	for row := 0; row < rows; {
		in := min(packRows, rows-row)
		switch {
		case p.packed && p.n == 1 && p.direct:
			in = min(rows-row, max(1, directMACs/(packRows*blockLen*p.blocks))*packRows)
			p.multiplyDirect(&direct{
				tile: &t.tile, w: &p.w[row*p.rowBytes], acts: &p.acts[0], stride: actBytes,
				blocks: p.blocks * blockLen / p.columns, groups: in / packRows, dst: &p.dst[row],
			})
		case in == packRows:
			t.start(p, row, packRows)
			t.tokens(p, &p.dst[row], p.dstStride, 0, p.n)
		default:
			// The rest is computed as a whole group, its last row many times, and copied.
			var few [fewTokens * packRows]float32
			t.start(p, row, in)
			for first := 0; first < p.n; first += fewTokens {
				count := min(fewTokens, p.n-first)
				t.tokens(p, &few[0], packRows, first, count)
				for i := range count {
					copy(p.dst[(first+i)*p.dstStride+row:][:in], few[i*packRows:])
				}
			}
		}
		row += in
	}
}

// start turns to a group of rows.
func (t *Scratch) start(p *product8, row, rows int) {
	w := p.w[row*p.rowBytes:][:rows*p.rowBytes]
	if p.packed {
		t.packed = w
		return
	}
	for i := range t.rows {
		t.rows[i] = &w[min(i, rows-1)*p.rowBytes]
	}
}

// tokens computes activation rows first to first+count: it gathers and unpacks a part of the columns and multiplies it with
// all of them before the next.
func (t *Scratch) tokens(p *product8, dst *float32, dstStride, first, count int) {
	perBlock := p.columns / blockLen
	step := unpackedBlocks
	if p.packed && p.format == Q80 && count == 1 {
		step = p.blocks // nothing is unpacked or read twice
	}
	for b := 0; b < p.blocks; b += step {
		part := min(step, p.blocks-b)
		at, blocks := b/perBlock*p.bytes, part/perBlock
		src := &t.gather[0]
		if p.packed {
			src = &t.packed[packRows*at]
		} else {
			// As quant.PackGroup does with units of 4 bytes.
			gather(src, &t.rows, at, blocks, unsafe.StringData(p.gather))
		}
		if count == 1 && p.direct {
			p.multiplyDirect(&direct{
				tile: &t.tile, w: src, acts: &p.acts[(b*p.n+first)*actBytes], stride: p.n * actBytes, blocks: blocks, groups: 1,
				dst: dst, add: b,
			})
			continue
		}
		arg := pass{tile: src, stride: p.n * actBytes, blocks: part, dstStride: dstStride * 4, add: b}
		alone := count
		if p.isa == isaI8MM && count >= pairFrom {
			alone = count % pairTokens // they come first: SDOT wants the tile as it is
		}
		if p.format != Q80 || alone < count {
			p.format.unpack(&t.tile, src, blocks)
		}
		if p.format != Q80 {
			arg.tile = (*byte)(unsafe.Pointer(&t.tile))
		}
		p.tokens(arg, dst, b, first, 0, alone, false)
		if alone < count {
			pairTile(&t.tile, part)
			arg.tile = (*byte)(unsafe.Pointer(&t.tile))
			p.tokens(arg, dst, b, first, alone, count, true)
		}
	}
}

// tokens multiplies a part of the columns, from block b on, with activation rows first+from to first+to.
func (p *product8) tokens(arg pass, dst *float32, b, first, from, to int, paired bool) {
	for done := from; done < to; {
		size, groups := p.step(to-done, paired)
		arg.groups = groups
		arg.acts = &p.acts[(b*p.n+first+done)*actBytes]
		arg.dst = (*float32)(unsafe.Add(unsafe.Pointer(dst), done*arg.dstStride))
		p.multiply(size, paired, &arg)
		done += size * groups
	}
}

// step gives the size of the groups and their number for the next of left activation rows.
func (p *product8) step(left int, paired bool) (size, groups int) {
	size = 1
	switch {
	case paired:
		size = pairTokens
	case p.isa != isaNEON && left >= 4:
		size = 4
	case p.isa == isaNEON && left >= 2 && p.format.hasPairs():
		size = 2
	}
	return size, min(left, maxTokens) / size
}

// multiply is a switch and not a table of functions, because a pointer that is passed through a function value would move
// the tile to the heap.
func (p *product8) multiply(size int, paired bool, arg *pass) {
	switch {
	case paired:
		p.format.i8mm2(arg)
	case p.isa != isaNEON && size == 4:
		p.format.dotProd4(arg)
	case p.isa != isaNEON:
		p.format.dotProd1(arg)
	case size == 2:
		p.format.neon2(arg)
	default:
		p.format.neon1(arg)
	}
}

func (p *product8) multiplyDirect(d *direct) {
	if p.isa != isaNEON {
		p.format.directDotProd(d)
	} else {
		p.format.directNEON(d)
	}
}
