package kernel

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"siskin/model/quant"
)

// kvDims are head sizes of real models (16: tiny test models, 80: StableLM and Phi-2, 256: Gemma), the least, and one that
// is no whole vector of 16.
var kvDims = []int{8, 16, 24, 64, 80, 96, 128, 256}

func gaussian(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// context is the keys and values of one head, as they were given and as pages.
type context struct {
	dim        int
	rows       []float32 // (positions, 2, dim)
	keys, vals [][]byte
}

// newContext stores random positions with set's kernels; the keys are long, so that the weights differ.
func newContext(rng *rand.Rand, set *Set, f quant.KVFormat, dim, positions int) *context {
	c := &context{dim: dim, rows: gaussian(rng, 2*positions*dim)}
	a := NewAttend(set, f, dim, 1)
	for pos := range positions {
		if pos%quant.KVPage == 0 {
			c.keys = append(c.keys, make([]byte, f.KeyBytes(dim)))
			c.vals = append(c.vals, make([]byte, f.ValueBytes(dim)))
		}
		row := c.rows[2*pos*dim:]
		page := pos / quant.KVPage
		a.Store(c.keys[page], c.vals[page], pos%quant.KVPage, row[:dim], row[dim:2*dim])
	}
	return c
}

// mask is what rows see: the last window positions up to their own, or all positions up to the last row's.
type mask struct {
	window int // 0: all
	alike  bool
	cap    float32
}

// from is the first position that the row at position pos sees.
func (k mask) from(pos int) int {
	if k.window == 0 {
		return 0
	}
	return max(0, pos+1-k.window)
}

// attend computes the query vectors q, (rows*group, dim), of rows that follow each other up to position last, in parts of
// some pages.
func (c *context) attend(a *Attend, q []float32, last, group, pages int, k mask) []float32 {
	m := len(q) / c.dim
	a.Cap(k.cap)
	a.Start(m)
	for r := range m {
		copy(a.Query(r), q[r*c.dim:][:c.dim])
	}
	first := last + 1 - m/group
	for page := 0; page*quant.KVPage <= last; page++ {
		p := Page{Keys: c.keys[page], Values: c.vals[page]}
		if page+1 < len(c.keys) {
			p.NextKeys, p.NextValues = c.keys[page+1], c.vals[page+1]
		}
		if page%pages == 0 {
			a.Begin(nil)
		}
		base := page * quant.KVPage
		sees := Span{From: NoWindow, To: first + 1 - base, Group: group}
		if k.window > 0 {
			sees.From = sees.To - k.window
		}
		if k.alike {
			sees = Span{From: NoWindow, To: last + 1 - base, Group: AllAlike}
		}
		a.Page(p, sees)
		if page%pages == pages-1 || page == last/quant.KVPage {
			a.Fold(nil)
		}
	}
	out := make([]float32, len(q))
	for r := range m {
		a.Result(r, out[r*c.dim:][:c.dim])
	}
	return out
}

// exact is attention in float64 over the values as they were stored, of positions [from, last].
func (c *context) exact(f quant.KVFormat, q []float32, from, last int, limit float32) []float64 {
	width := f.KVWidth(c.dim)
	keys, values := make([]float32, f.KVColumns(c.dim)*quant.KVPage), make([]float32, quant.KVPage*width)
	scores, out := make([]float64, last+1), make([]float64, f.KVColumns(c.dim))
	if f != quant.KVF16 {
		_, turn := f.KeyTurn(c.dim)
		q = append(slices.Clone(q), make([]float32, f.KVColumns(c.dim)-c.dim)...)
		quant.Hadamard(q, f.KVBlock(c.dim), turn)
	}
	for pos := range scores {
		if pos%quant.KVPage == 0 {
			quant.KeyTile(f, keys, c.keys[pos/quant.KVPage], c.dim, quant.KVPage)
		}
		for k, x := range q {
			scores[pos] += float64(x) * float64(keys[k*quant.KVPage+pos%quant.KVPage])
		}
		if limit > 0 {
			scores[pos] = float64(limit) * math.Tanh(scores[pos]/math.Log2E/float64(limit)) * math.Log2E
		}
		if pos < from {
			scores[pos] = math.Inf(-1)
		}
	}
	top, sum := slices.Max(scores), 0.0
	for pos := range scores {
		if pos%quant.KVPage == 0 {
			quant.ValueTile(f, values, c.vals[pos/quant.KVPage], c.dim, quant.KVPage)
		}
		w := math.Exp2(scores[pos] - top)
		sum += w
		for k := range out {
			out[k] += w * float64(values[pos%quant.KVPage*width+k])
		}
	}
	for k := range out {
		out[k] /= sum
	}
	if _, turn, turned := f.ValueTurn(c.dim); turned {
		turnBack(out, f.KVBlock(c.dim), float64(turn))
	}
	return out[:c.dim]
}

// turnBack is quant.Hadamard in float64.
func turnBack(x []float64, block int, scale float64) {
	turned := make([]float64, len(x))
	for i := range x {
		for j, v := range x[i/block*block:][:block] {
			turned[i] += v * scale * float64(1-2*(bits.OnesCount(uint(i%block&j))&1))
		}
	}
	copy(x, turned)
}

// Attention of every set is that of float64, for all head sizes, groups and lengths around the ends of panels and pages;
// with and without a window, a cap, and rows that all see the same; and the bits of a query do not depend on how many share
// its call.
func TestAttention(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	lengths := []int{1, 2, 15, 16, 17, 31, 63, 64, 65, 80, 127, 128, 129, 200}
	if testing.Short() { // where every instruction is emulated
		lengths = []int{1, 17, 64, 65, 129}
	}
	for _, set := range All() {
		for f := range quant.NumKVFormats {
			for _, dim := range kvDims {
				if f.Check(dim) != nil {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/%d", set.Name, f, dim), func(t *testing.T) {
					c := newContext(rng, set, f, dim, 200)
					for i, n := range lengths {
						group := 1 + i%8
						checkAttention(t, rng, set, f, c, group, min(n, 1+i%7), n-1, mask{})
						checkAttention(t, rng, set, f, c, group, min(n, 1+i%7), n-1, mask{window: 1 + 5*i, cap: 2})
						checkAttention(t, rng, set, f, c, group, min(n, 1+i%7), n-1, mask{alike: true})
					}
				})
			}
		}
	}
}

// checkAttention computes the last rows of a context of last+1 positions together and one by one.
func checkAttention(t *testing.T, rng *rand.Rand, set *Set, f quant.KVFormat, c *context, group, rows, last int, k mask) {
	t.Helper()
	q := gaussian(rng, rows*group*c.dim)
	for i := range q {
		q[i] *= float32(3 / math.Sqrt(float64(c.dim)))
	}
	together := c.attend(NewAttend(set, f, c.dim, rows*group), q, last, group, 1+last%3, k)
	alone := NewAttend(set, f, c.dim, group)
	for r := range rows {
		size := group * c.dim
		pos := last + 1 - rows + r
		if k.alike {
			pos = last
		}
		one := c.attend(alone, q[r*size:][:size], pos, group, 1+last%3, k)
		if !slices.Equal(one, together[r*size:][:size]) {
			t.Fatalf("group %d, position %d: alone and among %d rows differ", group, pos, rows)
		}
		for g := range group {
			for col, want := range c.exact(f, q[r*size+g*c.dim:][:c.dim], k.from(pos), pos, k.cap) {
				if got := float64(one[g*c.dim+col]); !(math.Abs(got-want) <= attentionError(f)) {
					t.Fatalf("group %d, head %d, position %d, column %d: %g, want %g", group, g, pos, col, got, want)
				}
			}
		}
	}
}

// attentionError is what may be between attention in float32, or over integers of 16 bits for queries and weights, and exact
// attention.
func attentionError(f quant.KVFormat) float64 {
	if f == quant.KVF16 {
		return 2e-5
	}
	return 5e-4
}

// Each function of every set gives what the reference gives, touches nothing else and does not allocate; the tiles are
// equal to the bit.
func TestAttentionFunctions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, set := range All() {
		for _, dim := range kvDims {
			for f := range quant.NumKVFormats {
				if f.Check(dim) == nil {
					testTiles(t, rng, set, f, dim)
				}
			}
		}
		for m := 1; m <= 13; m++ {
			for _, cols := range []int{16, 32, 48, 64, 80, 144} {
				testProduct(t, rng, set, m, 1+rng.IntN(70), cols, m%2 == 0)
			}
			testSoftmax(t, rng, set, m, 16+m%4*16)
			testFold(t, rng, set, m, 16+m%4*16)
		}
		for _, pairs := range []int{0, 1, 4, 7, 8, 32} {
			testRotate(t, rng, set, pairs)
		}
	}
}

func testTiles(t *testing.T, rng *rand.Rand, set *Set, f quant.KVFormat, dim int) {
	t.Helper()
	c := newContext(rng, set, f, dim, quant.KVPage)
	for _, n := range []int{1, 16, 33, 64} {
		if f != quant.KVF16 {
			testIntegers(t, rng, set, f, c, n)
			continue
		}
		testHalves(t, rng, set, c, dim, n)
		for name, run := range map[string]func(s *Set, dst []float32){
			"keys":   func(s *Set, dst []float32) { s.KeyTile(dst[:dim*quant.KVPage], c.keys[0], nil, dim, n) },
			"values": func(s *Set, dst []float32) { s.ValueTile(dst, c.vals[0], c.vals[0], dim, n) },
		} {
			same(t, fmt.Sprintf("%s: %s of %d columns, %d positions in %v", set.Name, name, dim, n, f), set,
				quant.KVPage*f.KVWidth(dim), 0, run)
		}
	}
}

// testHalves compares products straight from pages with those by way of a tile, bit for bit.
func testHalves(t *testing.T, rng *rand.Rand, set *Set, c *context, dim, n int) {
	t.Helper()
	if set.KeyProduct == nil || dim%16 != 0 {
		return
	}
	tile, cols := make([]float32, quant.KVPage*dim), (n+15)/16*16
	for m := 1; m <= 2*fewVectors; m++ {
		q, keep := gaussian(rng, m*dim), gaussian(rng, m)
		want, got := gaussian(rng, m*quant.KVPage), make([]float32, m*quant.KVPage)
		copy(got, want)
		set.KeyTile(tile, c.keys[0], nil, dim, n)
		set.TileProduct(want, quant.KVPage, q, dim, tile, quant.KVPage, m, dim, cols, nil)
		set.KeyProduct(got, q, c.keys[0], nil, dim, m, n)
		if !slices.Equal(got, want) {
			t.Errorf("%s: scores of %d rows, %d columns, %d positions straight from a page differ", set.Name, m, dim, n)
		}
		weights, sums := gaussian(rng, m*quant.KVPage), gaussian(rng, m*dim)
		alike := slices.Clone(sums)
		set.ValueTile(tile, c.vals[0], nil, dim, n)
		set.TileProduct(sums, dim, weights, quant.KVPage, tile, dim, m, n, dim, keep)
		set.ValueProduct(alike, weights, keep, c.vals[0], c.vals[0], dim, m, n)
		if !slices.Equal(alike, sums) {
			t.Errorf("%s: values of %d rows, %d columns, %d positions straight from a page differ", set.Name, m, dim, n)
		}
	}
}

// testIntegers tests the scores and the sums of values of n positions for any number of rows. The integers are exact, so what
// is left is the rounding of a few float32 operations.
func testIntegers(t *testing.T, rng *rand.Rand, set *Set, f quant.KVFormat, c *context, n int) {
	t.Helper()
	dim := f.KVColumns(c.dim)
	per := f.KVBlock(c.dim)
	blocks := dim / per
	for _, m := range []int{1, 2, 3, 4, 5, 7, 8, 9, 13} {
		what := fmt.Sprintf("%s: %%s of %d rows, %d columns, %d positions in %v", set.Name, m, dim, n, f)
		q, x := newIntegers(m, dim, m*blocks), gaussian(rng, m*dim)
		same(t, fmt.Sprintf(what, "scores"), set, m*quant.KVPage, 5e-5, func(s *Set, dst []float32) {
			s.QuantizeRows(q.q, q.scale, q.sum, x, dim, nil, m, 1, dim, per)
			s.KeyScores[f](dst, q.q, q.scale, q.sum, x, c.keys[0], nil, dim, m, n)
		})
		weights, keep, cols := gaussian(rng, m*quant.KVPage), gaussian(rng, m), (n+15)/16*16
		for i := range weights {
			weights[i] = float32(math.Exp2(float64(5 * weights[i])))
			if i%7 == 0 {
				weights[i] = 0
			}
		}
		p, before := newIntegers(m*blocks, quant.KVPage, m*blocks), gaussian(rng, m*dim)
		same(t, fmt.Sprintf(what, "values"), set, m*dim, 1e-5, func(s *Set, dst []float32) {
			copy(dst, before)
			s.QuantizeRows(p.q, p.scale, p.sum, weights, quant.KVPage, f.Scales(c.vals[0], dim), m, blocks, cols, cols)
			s.MixValues[f](dst, p.q, p.scale, p.sum, keep, c.vals[0], c.vals[0], dim, m, cols)
		})
	}
}

func testProduct(t *testing.T, rng *rand.Rand, set *Set, m, k, cols int, scaled bool) {
	t.Helper()
	a, b := gaussian(rng, m*(k+3)), gaussian(rng, k*(cols+5))
	var scale []float32
	if scaled {
		scale = gaussian(rng, m)
	}
	same(t, fmt.Sprintf("%s: product %dx%dx%d, scaled %v", set.Name, m, k, cols, scaled), set, m*(cols+2)-2, 1e-5,
		func(s *Set, dst []float32) { s.TileProduct(dst, cols+2, a, k+3, b, cols+5, m, k, cols, scale) })
}

func testSoftmax(t *testing.T, rng *rand.Rand, set *Set, m, cols int) {
	t.Helper()
	scores := gaussian(rng, m*quant.KVPage)
	for i := range scores {
		scores[i] *= 30
		if rng.IntN(5) == 0 && i%quant.KVPage != 3 {
			scores[i] = float32(math.Inf(-1))
		}
	}
	top, sum := gaussian(rng, m), gaussian(rng, 16*m)
	top[0] = float32(math.Inf(-1))
	same(t, fmt.Sprintf("%s: softmax of %d rows, %d columns", set.Name, m, cols), set, m*(quant.KVPage+18), 1e-6,
		func(s *Set, dst []float32) {
			copy(dst, scores)
			rest := dst[m*quant.KVPage:]
			copy(rest, top)
			copy(rest[m:], sum)
			s.SoftmaxTile(dst[:m*quant.KVPage], m, cols, rest[:m], rest[m:17*m], rest[17*m:])
		})
}

func testFold(t *testing.T, rng *rand.Rand, set *Set, m, width int) {
	t.Helper()
	before, src, keep, add := gaussian(rng, m*width), gaussian(rng, m*width), gaussian(rng, m), gaussian(rng, m)
	same(t, fmt.Sprintf("%s: fold of %d rows, %d columns", set.Name, m, width), set, m*width, 1e-6, func(s *Set, dst []float32) {
		copy(dst, before)
		s.FoldRows(dst, src, width, m, keep, add)
	})
}

func testRotate(t *testing.T, rng *rand.Rand, set *Set, pairs int) {
	t.Helper()
	const heads, dim = 3, 64
	x, cos, sin := gaussian(rng, heads*dim), gaussian(rng, pairs), gaussian(rng, pairs)
	same(t, fmt.Sprintf("%s: rotation of %d pairs", set.Name, pairs), set, heads*dim, 1e-6, func(s *Set, dst []float32) {
		copy(dst, x)
		s.Rotate(dst, heads, dim, cos, sin, 0.3)
	})
}

// same fails unless run gives n values within tolerance of the reference, leaves what lies beside them, at any alignment,
// and does not allocate.
func same(t *testing.T, what string, set *Set, n int, tolerance float64, run func(s *Set, dst []float32)) {
	t.Helper()
	const canary, beside = 1234.5, 20
	want := slices.Repeat([]float32{canary}, n)
	run(Generic(), want)
	for shift := range 3 {
		all := slices.Repeat([]float32{canary}, n+2*beside+shift)
		got := all[beside+shift:][:n:n]
		run(set, got)
		for i, f := range want {
			if diff := math.Abs(float64(got[i]) - float64(f)); !(diff <= tolerance*(1+math.Abs(float64(f)))) && got[i] != f {
				t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], f)
			}
		}
		for i, f := range all {
			if f != canary && (i < beside+shift || i >= beside+shift+n) {
				t.Fatalf("%s: place %d, beside the %d values, was written", what, i-beside-shift, n)
			}
		}
		if set.Name != "generic" {
			if allocs := testing.AllocsPerRun(1, func() { run(set, got) }); allocs != 0 {
				t.Fatalf("%s: %v allocations", what, allocs)
			}
		}
	}
}
