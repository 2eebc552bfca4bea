package kernel

import (
	"os"
	"strings"
	"testing"

	"siskin/model/quant"
)

// Every set of this CPU passes its self-test. SISKIN_TEST_REQUIRE_KERNELS=i8mm,dotprod,neon says which sets in assembly the
// CPU must offer, the best first: an emulated CPU that did not select its kernels would otherwise pass unnoticed.
func TestSetsOfThisCPU(t *testing.T) {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name)
		if err := SelfTest(s); err != nil {
			t.Error(err)
		}
	}
	t.Log("sets of this CPU:", strings.Join(names, ", "))
	required := os.Getenv("SISKIN_TEST_REQUIRE_KERNELS")
	if required == "" {
		return
	}
	if got := strings.Join(names[:len(names)-1], ","); got != required {
		t.Errorf("sets in assembly: %q, required by SISKIN_TEST_REQUIRE_KERNELS: %q", got, required)
	}
	best, err := Best()
	if want, _, _ := strings.Cut(required, ","); err != nil || best.Name != want {
		t.Errorf("best set: %v (error %v), want %s", best, err, want)
	}
}

// A set that computes wrongly is found and named.
func TestSelfTestFindsFaults(t *testing.T) {
	for name, spoil := range map[string]func(s *Set){
		"quantize": func(s *Set) {
			s.Quantize = func(dst []byte, x []float32, n, t int) {
				Generic().Quantize(dst, x, n, t)
				quant.ActsOf(dst)[n+t].Q[8] += 2
			}
		},
		"quantize: keys and values": func(s *Set) {
			s.QuantizeKV = func(dst []byte, scale, x []float32, block int) {
				Generic().QuantizeKV(dst, scale, x, block)
				dst[len(x)-1]++
			}
		},
		"quantize: plane 1": func(s *Set) {
			s.QuantizeRefined = func(dst []byte, x []float32, n, t, low int) {
				Generic().QuantizeRefined(dst, x, n, t, low)
				quant.ActsOf(dst)[n+low].NB++
			}
		},
		"matmul Q4_1": func(s *Set) {
			s.MatMulQ8[quant.Q4_1] = func(dst []float32, stride int, w []byte, rows, cols int, acts []byte, n int) {
				Generic().MatMulQ8[quant.Q4_1](dst, stride, w, rows, cols, acts, n)
				dst[len(dst)-1] *= 1.01
			}
		},
		"packed matmul Q6_K": func(s *Set) {
			s.Packing.Unit = 4
			s.MatMulPacked[quant.Q6_K] = Generic().MatMulQ8[quant.Q6_K]
		},
		"rotate":             func(s *Set) { s.Rotate = func([]float32, int, int, []float32, []float32, float32) {} },
		"attention over f16": func(s *Set) { s.ValueTile = func([]float32, []byte, []byte, int, int) {} },
		"attention over q8": func(s *Set) {
			s.KeyScores[quant.KVQ8] = func([]float32, []byte, []float32, []int32, []float32, []byte, []byte, int, int, int) {}
		},
		"attention over q4": func(s *Set) {
			s.MixValues[quant.KVQ4] = func([]float32, []byte, []float32, []int32, []float32, []byte, []byte, int, int, int) {}
		},
		"supported": func(s *Set) { s.MatMulBF16 = nil },
	} {
		s := Generic()
		s.Name = "faulty"
		spoil(s)
		if err := SelfTest(s); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "faulty") {
			t.Errorf("%s broken: self-test says %v", name, err)
		}
	}
}

// A product of tiles gives what the reference gives, whatever the rows.
func TestTiled(t *testing.T) {
	reference := func(dst []float32, dstStride int, tile *Tile, acts []byte, stride, n int) {
		all := quant.ActsOf(acts)
		for t := range n {
			for r := range quant.PackRows {
				sum := float64(dst[t*dstStride+r])
				for b := range tile.Blocks {
					block, a := &tile.Block[b], &all[b*stride+t]
					for c, q := range a.Q {
						w := float64(block.D[c/16][r])*float64(block.W[c/4][r][c%4]) + float64(block.M[c/16][r])
						sum += w * float64(a.D) * float64(q)
					}
				}
				dst[t*dstStride+r] = float32(sum)
			}
		}
	}
	s := Generic()
	s.Name = "tiled"
	for typ := range quant.Type(quant.NumTypes) {
		if s.MatMulQ8[typ] != nil {
			s.MatMulQ8[typ] = Tiled(typ, reference)
		}
	}
	if err := SelfTest(s); err != nil {
		t.Error(err)
	}
}
