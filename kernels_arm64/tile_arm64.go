//go:build !purego

package kernels

import "fmt"

// tileRows is the number of weight rows, tileTokens the largest number of activation rows, that one tile computes;
// padFrom is the number of activation rows from which a padded tile of tileTokens costs less than single rows.
const (
	tileRows   = 4
	tileTokens = 4
	padFrom    = 3
)

// callMACs bounds the multiplications of one call of assembly, which nothing can preempt. A Cortex-A53 at 1 GHz does at
// least 1.5 per nanosecond in tiles of four activation rows and 0.6 with one (static estimate, llvm-mca, in order), where
// a call has a quarter as many: at most 175 us. Rows so long that a tile of four is more than the bound are computed with
// one activation row at a time. A call takes at least four weight rows, so it passes 250 us if these have more than about
// 40,000 columns.
const callMACs = 1 << 18

// kernel names a pair of assembly functions. It is a number, not a function value, because a pointer that is passed
// through a function value would move the tile to the heap.
type kernel uint8

const (
	f32NEON kernel = iota
	f16NEON
	bf16NEON
)

// floatStep is the number of columns that a float kernel takes per step.
const floatStep = 8

// tile is the argument of the float kernels: groups of four weight rows times one or four activation rows. Assembly reads
// the fields by name (go_asm.h).
type tile struct {
	w         *byte // first weight row
	rowStride int   // bytes from a weight row to the next; 0 computes one row four times
	groups    int   // groups of four rows, at least 1; if more, rowStride is the size of a row
	steps     int   // whole steps of floatStep columns
	tail      int   // not 0 if a step from tailW and tailX follows; groups is 1 then
	dst       [tileTokens]*float32
	x         [tileTokens]*float32
	tailW     [tileRows][4 * floatStep]byte // the last cols%floatStep weights of each row, in their format, then zeros
	tailX     [tileTokens][floatStep]float32
}

// product is one call of an exported product: dst[t*dstStride+r] = dot(w row r, x row t).
type product struct {
	kernel        kernel
	dst           []float32
	dstStride     int
	w             []byte
	rowBytes      int
	rows, cols, n int
	x             []float32
}

// check panics unless dst and w hold what the product touches; it reports whether there is anything to compute.
func (p *product) check() bool {
	if p.rows < 0 || p.n < 0 || p.cols < 1 {
		panic(fmt.Sprintf("kernels: product of %d rows, %d columns, %d activation rows", p.rows, p.cols, p.n))
	}
	if p.rows == 0 || p.n == 0 {
		return false
	}
	if p.rows > len(p.w)/p.rowBytes {
		panic(fmt.Sprintf("kernels: %d weight bytes, %d rows of %d needed", len(p.w), p.rows, p.rowBytes))
	}
	if p.rows > len(p.dst) || p.n > 1 && (p.dstStride < p.rows || p.n-1 > (len(p.dst)-p.rows)/p.dstStride) {
		panic(fmt.Sprintf("kernels: destination of %d for %d rows, %d activation rows at stride %d", len(p.dst), p.rows,
			p.n, p.dstStride))
	}
	return true
}

func mustLen(what string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("kernels: %s: length %d, want %d", what, got, want))
	}
}

// run computes the product in calls of bounded length, weights outermost so that each is fetched from memory once.
// Elements do not depend on one another, so the last rows may be a tile that overlaps the one before.
func (p *product) run() {
	full := p.rows / tileRows
	step := max(1, callMACs/(tileRows*tileTokens*p.cols))
	if p.cols%floatStep != 0 {
		step = 1
	}
	for g := 0; g < full; g += step {
		p.groups(g*tileRows, min(step, full-g), p.rowBytes)
	}
	switch {
	case p.rows%tileRows == 0:
	case full > 0:
		p.groups(p.rows-tileRows, 1, p.rowBytes)
	default:
		for r := range p.rows {
			p.groups(r, 1, 0)
		}
	}
}

// groups computes the rows from row on, groups of four, or only that row if rowStride is 0, for all activation rows.
func (p *product) groups(row, groups, rowStride int) {
	var single [tileTokens][tileRows]float32
	t := tile{w: &p.w[row*p.rowBytes], rowStride: rowStride, groups: groups}
	p.columns(&t, row)
	tooLong := tileRows*tileTokens*p.cols > callMACs
	for first := 0; first < p.n; {
		count := min(tileTokens, p.n-first)
		if count < padFrom || tooLong {
			count = 1
		}
		for i := range tileTokens {
			token := first + min(i, count-1)
			p.operands(&t, i, token)
			if rowStride == 0 {
				t.dst[i] = &single[i][0]
			} else {
				t.dst[i] = &p.dst[token*p.dstStride+row]
			}
		}
		if count == 1 {
			p.kernel.run1(&t)
		} else {
			p.kernel.run4(&t)
		}
		if rowStride == 0 {
			for i := range count {
				p.dst[(first+i)*p.dstStride+row] = single[i][0]
			}
		}
		first += count
	}
}

// columns sets the number of steps and copies what does not fill one.
func (p *product) columns(t *tile, row int) {
	t.steps, t.tail = p.cols/floatStep, p.cols%floatStep
	if t.tail == 0 {
		return
	}
	size := p.rowBytes / p.cols
	for i := range tileRows {
		end := (min(row+i, p.rows-1) + 1) * p.rowBytes
		copy(t.tailW[i][:], p.w[end-t.tail*size:end])
	}
}

// operands points place i of the tile to an activation row.
func (p *product) operands(t *tile, i, token int) {
	x := p.x[token*p.cols:][:p.cols]
	t.x[i] = &x[0]
	copy(t.tailX[i][:], x[len(x)-t.tail:])
}

// run1 computes groups of four weight rows for one activation row, the first of the tile.
func (k kernel) run1(t *tile) {
	switch k {
	case f32NEON:
		matMulF32NEON1(t)
	case f16NEON:
		matMulF16NEON1(t)
	case bf16NEON:
		matMulBF16NEON1(t)
	}
}

// run4 computes groups of four weight rows for four activation rows.
func (k kernel) run4(t *tile) {
	switch k {
	case f32NEON:
		matMulF32NEON4(t)
	case f16NEON:
		matMulF16NEON4(t)
	case bf16NEON:
		matMulBF16NEON4(t)
	}
}
