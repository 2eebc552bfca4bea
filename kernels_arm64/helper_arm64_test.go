//go:build !purego

package kernels_test

import (
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

type (
	mulQ8    = func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)
	mulFloat = func(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int)
)

var (
	formats = map[quant.Type]kernels.Format{
		quant.Q4_0: kernels.Q40, quant.Q4_1: kernels.Q41, quant.Q5_0: kernels.Q50, quant.Q5_1: kernels.Q51,
		quant.Q8_0: kernels.Q80, quant.IQ4_NL: kernels.IQ4NL, quant.IQ4_XS: kernels.IQ4XS, quant.Q2_K: kernels.Q2K,
		quant.Q3_K: kernels.Q3K, quant.Q4_K: kernels.Q4K, quant.Q5_K: kernels.Q5K, quant.Q6_K: kernels.Q6K,
	}
	floatKernels = map[quant.Type]mulFloat{
		quant.F32: kernels.MatMulF32F32NEON, quant.F16: kernels.MatMulF16F32NEON, quant.BF16: kernels.MatMulBF16F32NEON,
	}
	floatTypes = []quant.Type{quant.F32, quant.F16, quant.BF16}
)

// needNEON and its like skip a test that this CPU cannot run, or fail it if SISKIN_TEST_REQUIRE_KERNELS, a list with
// commas, names the instruction set.
func needNEON(t *testing.T)    { need(t, "neon", kernels.HasNEON()) }
func needDotProd(t *testing.T) { need(t, "dotprod", kernels.HasDotProd()) }
func needI8MM(t *testing.T)    { need(t, "i8mm", kernels.HasI8MM()) }

func need(t *testing.T, isa string, have bool) {
	t.Helper()
	if have {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("SISKIN_TEST_REQUIRE_KERNELS"), ","), isa) {
		t.Fatalf("this CPU has no %s", isa)
	}
	t.Skipf("SKIPPED: this CPU has no %s", isa)
}

// eachQ8 runs f for every int8 product that this CPU can run, with the product of tight rows and that of packed ones.
func eachQ8(t *testing.T, f func(t *testing.T, typ quant.Type, plain, packed mulQ8)) {
	for isa, mul := range map[string]func(s *kernels.Scratch, f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int,
		acts []byte, n int){"neon": kernels.MatMulNEON, "dotprod": kernels.MatMulDotProd, "i8mm": kernels.MatMulI8MM} {
		t.Run(isa, func(t *testing.T) {
			switch isa {
			case "neon":
				needNEON(t)
			case "dotprod":
				needDotProd(t)
			default:
				needI8MM(t)
			}
			for typ, format := range formats {
				scratch := new(kernels.Scratch)
				product := func(packed bool) mulQ8 {
					return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
						mul(scratch, format, packed, dst, dstStride, w, rows, cols, acts, n)
					}
				}
				t.Run(typ.String(), func(t *testing.T) { f(t, typ, product(false), product(true)) })
			}
		})
	}
}

// pack interleaves whole groups of rows.
func pack(typ quant.Type, w []byte, rows, cols int) []byte {
	packed := make([]byte, len(w))
	for group := len(w) / rows * quant.PackRows; len(w) > 0; w = w[group:] {
		quant.PackGroup(typ, quant.Packing{Unit: 4}, packed[len(packed)-len(w):][:group], w[:group], cols)
	}
	return packed
}

// eachFloat runs f for every float product.
func eachFloat(t *testing.T, f func(t *testing.T, typ quant.Type, mul mulFloat)) {
	needNEON(t)
	for _, typ := range floatTypes {
		t.Run(typ.String(), func(t *testing.T) { f(t, typ, floatKernels[typ]) })
	}
}

// noise is a xorshift generator (Marsaglia 2003).
type noise uint32

func (n *noise) next() uint32 {
	x := uint32(*n)
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	*n = noise(x)
	return x
}

// float returns a value within [-1, 1).
func (n *noise) float() float32 { return float32(int32(n.next())) / (1 << 31) }

func (n *noise) floats(count int) []float32 {
	x := make([]float32, count)
	for i := range x {
		x[i] = n.float()
	}
	return x
}

// weights returns rows of type typ with scales and values of ordinary size.
func (n *noise) weights(t testing.TB, typ quant.Type, rows, cols int) []byte {
	t.Helper()
	rowBytes, err := typ.RowBytes(cols)
	if err != nil {
		t.Fatal(err)
	}
	w := make([]byte, rows*rowBytes)
	for i := range w {
		w[i] = byte(n.next() >> 8)
	}
	for i := 0; i < len(w); i += typ.BlockBytes() {
		switch typ {
		case quant.F32:
			put32(w[i:], math.Float32bits(n.float()))
		case quant.BF16:
			put16(w[i:], quant.F32ToBF16(n.float()))
		case quant.F16:
			put16(w[i:], quant.F32ToF16(n.float()))
		}
		for _, at := range typ.Halves() {
			put16(w[i+at:], quant.F32ToF16(n.float()))
		}
	}
	return w
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }
func put32(b []byte, v uint32) { put16(b, uint16(v)); put16(b[2:], uint16(v>>16)) }

// acts returns quantised activations of n rows.
func (n *noise) acts(rows, cols int) []byte {
	acts := quant.NewActs(rows * cols / quant.ActBlock * quant.ActBytes)
	for t := range rows {
		quant.Quantize(acts, n.floats(cols), rows, t)
	}
	return acts
}

// canary fills places that a kernel must not write.
var canary = math.Float32frombits(0x7fabcdef)

func canaries(count int) []float32 {
	x := make([]float32, count)
	for i := range x {
		x[i] = canary
	}
	return x
}

// sameBits reports the first difference; every NaN equals every other, but a canary only itself.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		g, w := math.Float32bits(got[i]), math.Float32bits(want[i])
		isCanary := g == math.Float32bits(canary) || w == math.Float32bits(canary)
		if g != w && (isCanary || got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s: value %d is %g (%#08x), want %g (%#08x)", what, i, got[i], g, want[i], w)
		}
	}
}

// mustPanic fails unless f panics with a message of this package.
func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if r, ok := recover().(string); !ok || !strings.HasPrefix(r, "kernels: ") {
			t.Errorf("%s: panic %v, want one that begins with kernels:", what, r)
		}
	}()
	f()
}

// guard returns a copy of s that ends at an inaccessible page (atEnd) or begins right after one.
func guard[T any](t *testing.T, s []T, atEnd bool) []T {
	t.Helper()
	page := os.Getpagesize()
	bytes := len(s) * int(unsafe.Sizeof(s[0]))
	inner := (bytes + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, inner+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	for _, edge := range [][]byte{m[:page], m[page+inner:]} {
		if err := syscall.Mprotect(edge, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	start := page
	if atEnd {
		start += inner - bytes
	}
	out := unsafe.Slice((*T)(unsafe.Pointer(&m[start])), len(s))
	copy(out, s)
	return out
}

// shifted returns a copy of s whose address is offset elements beyond a multiple of 64 bytes.
func shifted[T any](s []T, offset int) []T {
	buf := make([]T, len(s)+offset+64)
	skip := 0
	for uintptr(unsafe.Pointer(&buf[skip]))%64 != 0 {
		skip++
	}
	out := buf[skip+offset:][:len(s)]
	copy(out, s)
	return out
}
