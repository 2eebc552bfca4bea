package kernel

import (
	"os"
	"strings"
	"testing"
)

// Every set of this CPU passes its self-test. SISKIN_TEST_REQUIRE_KERNELS=dotprod,neon says which sets in assembly the
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
			s.Quantize = func(q []int8, d, sum, x []float32) { Generic().Quantize(q, d, sum, x); q[40]++; q[40]++ }
		},
		"matmul Q4_1": func(s *Set) {
			s.MatMulQ8[3] = func(dst []float32, stride int, w []byte, rows, cols int, q []int8, d, sum []float32, n int) {
				Generic().MatMulQ8[3](dst, stride, w, rows, cols, q, d, sum, n)
				dst[len(dst)-1] *= 1.01
			}
		},
		"softmax":   func(s *Set) { s.Softmax = func(x []float32) { Generic().Softmax(x); x[0] *= 1.5 } },
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
