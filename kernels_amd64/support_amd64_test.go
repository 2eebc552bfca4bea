//go:build !purego && unix

package kernels_test

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	kernels "siskin/kernels_amd64"
)

// has reports whether the CPU runs a kernel set. SISKIN_TEST_REQUIRE_KERNELS, a list with commas, names those whose
// absence fails the test instead of thinning it out.
func has(tb testing.TB, name string) bool {
	tb.Helper()
	ok := map[string]bool{"avx2": kernels.HasAVX2(), "avxvnni": kernels.HasAVXVNNI(), "avx512vnni": kernels.HasAVX512VNNI()}[name]
	if !ok && slices.Contains(strings.Split(os.Getenv("SISKIN_TEST_REQUIRE_KERNELS"), ","), name) {
		tb.Fatalf("this CPU does not run %s, which SISKIN_TEST_REQUIRE_KERNELS wants", name)
	}
	if !ok {
		tb.Logf("NOT TESTED: this CPU does not run %s", name)
	}
	return ok
}

// needAVX2 skips the test where the CPU cannot run it.
func needAVX2(tb testing.TB) {
	tb.Helper()
	if !has(tb, "avx2") {
		tb.Skip("this CPU has no AVX2, FMA and F16C")
	}
}

const (
	regionBytes = 2 << 20
	canary      = 0xa5
	canaryBytes = 512
)

// arena hands out memory between inaccessible pages, one region to a slice, so that a read or a write beyond either end
// kills the test. A slice lies against the first page, against the last, or in between at any alignment.
type arena struct {
	tb      testing.TB
	rng     *rand.Rand
	regions [][]byte
	used    []span
}

// span is the part of a region that a slice takes.
type span struct{ from, to int }

func newArena(tb testing.TB, rng *rand.Rand) *arena {
	a := &arena{tb: tb, rng: rng}
	page := os.Getpagesize()
	for range 8 {
		all, err := syscall.Mmap(-1, 0, regionBytes+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := syscall.Munmap(all); err != nil {
				tb.Error(err)
			}
		})
		for _, guard := range [][]byte{all[:page], all[page+regionBytes:]} {
			if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
				tb.Fatal(err)
			}
		}
		a.regions = append(a.regions, all[page:page+regionBytes])
	}
	return a
}

// reset takes all slices back.
func (a *arena) reset() { a.used = a.used[:0] }

// take returns size bytes of a fresh region, aligned for elements of the given size.
func (a *arena) take(size, elem int) []byte {
	region := a.regions[len(a.used)]
	from := []int{0, regionBytes - size, elem * ((regionBytes/2 + a.rng.IntN(64)) / elem)}[a.rng.IntN(3)]
	if from+size > regionBytes || size > regionBytes {
		a.tb.Fatalf("%d bytes do not fit a region", size)
	}
	s := span{from, from + size}
	a.used = append(a.used, s)
	for i := max(0, s.from-canaryBytes); i < min(regionBytes, s.to+canaryBytes); i++ {
		region[i] = canary
	}
	return region[s.from:s.to:s.to]
}

// check fails the test if a byte beside a slice has changed.
func (a *arena) check(what string) {
	a.tb.Helper()
	for i, s := range a.used {
		for j := max(0, s.from-canaryBytes); j < min(regionBytes, s.to+canaryBytes); j++ {
			if (j < s.from || j >= s.to) && a.regions[i][j] != canary {
				a.tb.Fatalf("%s: slice %d: byte %d beside it was written", what, i, j-s.from)
			}
		}
	}
}

// put copies values into the arena.
func put[T any](a *arena, values []T) []T {
	var t T
	size := int(unsafe.Sizeof(t))
	b := a.take(len(values)*size, size)
	out := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(values))
	copy(out, values)
	return out
}

// normals returns n random values.
func normals(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

// filled returns n values of which none is a result by chance.
func filled(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = -1234.5
	}
	return out
}

// sameBits fails the test at the first element that differs; any NaN equals any other.
func sameBits(tb testing.TB, what string, got, want []float32) {
	tb.Helper()
	for i := range want {
		bothNaN := got[i] != got[i] && want[i] != want[i]
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !bothNaN {
			tb.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}
