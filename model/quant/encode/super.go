package encode

import (
	"encoding/binary"
	"math"
)

// The formats with blocks of 256 columns have sub-blocks whose scales, and minima, are integers times those of the block.

const superLen = 256

// scaled is a block of a format without minima: weight = d * scale[sub-block] * q.
type scaled struct {
	d     float32 // a binary16 number
	scale [16]int
	q     [superLen]int8
}

// searchScaled encodes x with sub-blocks of sub columns, values of g, and scales from low to high.
func searchScaled(x []float32, sub int, g grid, low, high int) (best scaled) {
	var ideal [16]float32
	n := superLen / sub
	var top float32
	for s := range n {
		ideal[s] = g.scale(x[s*sub:][:sub])
		if abs(ideal[s]) > abs(top) {
			top = ideal[s]
		}
	}
	if top == 0 {
		for i := range best.q {
			best.q[i] = int8(g.nearest(0))
		}
		return best
	}
	least := math.Inf(1)
	// The block's scale for which the largest of the sub-blocks' becomes low, and what least squares make of it.
	d := top / float32(low)
	for range 3 {
		b := scaled{d: half(d)}
		var sum, xq, qq float64
		for s := range n {
			part, q := x[s*sub:][:sub], b.q[s*sub:][:sub]
			scale, err := b.neighbour(part, q, g, ideal[s], low, high)
			b.scale[s] = scale
			sum += err
			for i, v := range q {
				k := scale * int(v)
				xq += float64(part[i]) * float64(k)
				qq += float64(k * k)
			}
		}
		if sum < least {
			least, best = sum, b
		}
		if qq == 0 {
			break
		}
		d = float32(xq / qq)
	}
	return best
}

// neighbour chooses the integer scale near ideal with the least error and quantises with it.
func (b *scaled) neighbour(x []float32, q []int8, g grid, ideal float32, low, high int) (scale int, least float64) {
	near := round(min(max(ideal*inverse(b.d), -256), 256))
	least = math.Inf(1)
	for k := near - 1; k <= near+1; k++ {
		k := min(max(k, low), high)
		if err := g.quantise(q, x, b.d*float32(k)); err < least {
			least, scale = err, k
		}
	}
	g.quantise(q, x, b.d*float32(scale))
	return scale, least
}

// lined is a block of a format with minima: weight = d*scale[sub-block]*q - m*minimum[sub-block].
type lined struct {
	d, m           float32 // binary16 numbers
	scale, minimum [16]int
	q              [superLen]int8
}

func (b *lined) line(s int) line {
	return line{b.d * float32(b.scale[s]), -(b.m * float32(b.minimum[s]))}
}

// searchLined encodes x with sub-blocks of sub columns, integers 0 to top, and scales and minima 0 to topScale.
func searchLined(x []float32, sub, top, topScale int) (best lined) {
	var ideal [16]line
	n := superLen / sub
	var d, m float32
	for s := range n {
		ideal[s] = bestLine(x[s*sub:][:sub], top, true)
		d, m = max(d, ideal[s].d), max(m, -ideal[s].m)
	}
	d, m = d/float32(topScale), m/float32(topScale)
	least := math.Inf(1)
	for range 4 {
		b := lined{d: half(d), m: half(m)}
		var sum float64
		var fit plane
		for s := range n {
			part, q := x[s*sub:][:sub], b.q[s*sub:][:sub]
			sum += b.neighbours(s, part, q, ideal[s], top, topScale)
			fit.add(part, q, b.scale[s], b.minimum[s])
		}
		if sum < least {
			least, best = sum, b
		}
		if d, m = fit.solve(d, m); d < 0 || m < 0 {
			break
		}
	}
	return best
}

// neighbours chooses scale and minimum of sub-block s near the ideal ones with the least error and quantises with them.
func (b *lined) neighbours(s int, x []float32, q []int8, ideal line, top, topScale int) float64 {
	scale, minimum := clampRound(ideal.d*inverse(b.d), topScale), clampRound(-ideal.m*inverse(b.m), topScale)
	least := math.Inf(1)
	var bestScale, bestMinimum int
	for k := max(scale-1, 0); k <= min(scale+1, topScale); k++ {
		for j := max(minimum-1, 0); j <= min(minimum+1, topScale); j++ {
			b.scale[s], b.minimum[s] = k, j
			if err := b.line(s).quantise(q, x, top); err < least {
				least, bestScale, bestMinimum = err, k, j
			}
		}
	}
	b.scale[s], b.minimum[s] = bestScale, bestMinimum
	b.line(s).quantise(q, x, top)
	return least
}

// plane finds by least squares d and m of x = d*k - m*j, k and j integers.
type plane struct{ xk, xj, kk, kj, jj float64 }

func (p *plane) add(x []float32, q []int8, scale, minimum int) {
	j := float64(minimum)
	for i, v := range q {
		k := float64(scale * int(v))
		p.xk += float64(x[i]) * k
		p.xj += float64(x[i]) * j
		p.kk += k * k
		p.kj += k * j
		p.jj += j * j
	}
}

// solve keeps m where no minimum is in use, and both where the equations do not tell them apart.
func (p *plane) solve(d, m float32) (float32, float32) {
	if p.jj == 0 {
		if p.kk == 0 {
			return d, m
		}
		return float32(p.xk / p.kk), m
	}
	det := float64(p.kk*p.jj) - float64(p.kj*p.kj)
	if det <= 1e-9*float64(p.kk*p.jj) {
		return d, m
	}
	return float32((float64(p.xk*p.jj) - float64(p.xj*p.kj)) / det), float32((float64(p.xk*p.kj) - float64(p.xj*p.kk)) / det)
}

func encodeQ6_K(dst []byte, x []float32) {
	b := searchScaled(x, 16, levels(32), -128, 127)
	clear(dst[:192])
	for s := range 8 {
		h, j := s/4, s%4
		low, high := dst[64*h+j%2*32:][:32], dst[128+32*h:][:32]
		for i, v := range b.q[32*s:][:32] {
			u := byte(v + 32)
			low[i] |= u & 15 << (j / 2 * 4)
			high[i] |= u >> 4 << (2 * j)
		}
	}
	for i, v := range b.scale {
		dst[192+i] = byte(int8(v))
	}
	putHalf(dst[208:], b.d)
}

func encodeQ3_K(dst []byte, x []float32) {
	b := searchScaled(x, 16, levels(4), -32, 31)
	clear(dst[:108])
	for s := range 8 {
		low := dst[32+s/4*32:][:32]
		for i, v := range b.q[32*s:][:32] {
			u := byte(v + 4)
			low[i] |= u & 3 << (s % 4 * 2)
			dst[i] |= u >> 2 << s
		}
	}
	for i, v := range b.scale {
		u := byte(v + 32)
		dst[96+i%8] |= u & 15 << (i / 8 * 4)
		dst[104+i%4] |= u >> 4 << (i / 4 * 2)
	}
	putHalf(dst[108:], b.d)
}

func encodeIQ4_XS(dst []byte, x []float32) {
	b := searchScaled(x, 32, nonlinear(), -32, 31)
	putHalf(dst, b.d)
	clear(dst[2:8])
	var high uint16
	for s, v := range b.scale[:8] {
		u := byte(v + 32)
		dst[4+s/2] |= u & 15 << (s % 2 * 4)
		high |= uint16(u>>4) << (2 * s)
		putCodes(dst[8+16*s:], x[32*s:][:32], b.d*float32(v))
	}
	binary.LittleEndian.PutUint16(dst[2:], high)
}

func encodeQ2_K(dst []byte, x []float32) {
	b := searchLined(x, 16, 3, 15)
	clear(dst[16:80])
	for i := range b.scale {
		dst[i] = byte(b.scale[i] | b.minimum[i]<<4)
	}
	for s := range 8 {
		low := dst[16+s/4*32:][:32]
		for i, v := range b.q[32*s:][:32] {
			low[i] |= byte(v) << (s % 4 * 2)
		}
	}
	putHalf(dst[80:], b.d)
	putHalf(dst[82:], b.m)
}

func encodeQ4_K(dst []byte, x []float32) {
	b := searchLined(x, 32, 15, 63)
	b.putHead(dst)
	b.putNibbles(dst[16:])
}

func encodeQ5_K(dst []byte, x []float32) {
	b := searchLined(x, 32, 31, 63)
	b.putHead(dst)
	clear(dst[16:48])
	for s := range 8 {
		for i, v := range b.q[32*s:][:32] {
			dst[16+i] |= byte(v) >> 4 << s
		}
	}
	b.putNibbles(dst[48:])
}

// putHead stores what Q4_K and Q5_K begin with: d, m, and 12 bytes with scales and minima of 6 bits.
func (b *lined) putHead(dst []byte) {
	putHalf(dst, b.d)
	putHalf(dst[2:], b.m)
	p := dst[4:16]
	clear(p)
	for s := range 4 {
		p[s] = byte(b.scale[s] | b.scale[s+4]>>4<<6)
		p[s+4] = byte(b.minimum[s] | b.minimum[s+4]>>4<<6)
		p[s+8] = byte(b.scale[s+4]&15 | b.minimum[s+4]&15<<4)
	}
}

// putNibbles stores the low four bits: 32 bytes for two sub-blocks.
func (b *lined) putNibbles(dst []byte) {
	for s := 0; s < 8; s += 2 {
		for i := range 32 {
			dst[16*s+i] = byte(b.q[32*s+i]&15 | b.q[32*s+32+i]&15<<4)
		}
	}
}
