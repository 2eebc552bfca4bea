package sample

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestExpLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	worst := 0.0
	for range 200000 {
		x := float64(-r.Float64() * math.Pow(10, float64(r.IntN(7)-3)))
		if x < -690 {
			continue
		}
		want := math.Exp(float64(x))
		worst = max(worst, math.Abs(exp(x)/want-1))
	}
	t.Logf("exp: largest relative difference from math.Exp %.2e", worst)
	if worst > 1e-15 {
		t.Errorf("exp is off by %.2e", worst)
	}
	worst = 0
	for range 200000 {
		x := math.Exp(float64(r.NormFloat64() * 20))
		if d := math.Abs(math.Log(x)); d > 0.01 {
			worst = max(worst, math.Abs(log(x)-math.Log(x))/d)
		} else {
			worst = max(worst, math.Abs(log(x)-math.Log(x)))
		}
	}
	t.Logf("log: largest relative difference from math.Log %.2e", worst)
	if worst > 1e-15 {
		t.Errorf("log is off by %.2e", worst)
	}
	bits := uint64(0)
	for range 1000 {
		bits = bits*31 + math.Float64bits(exp(float64(-r.Float64()*690))) + math.Float64bits(log(float64(r.Float64()*1e9)))
	}
	if bits != 0x2194a0ee32f62ad4 {
		t.Errorf("the results of this machine differ from those of others: checksum %#x", bits)
	}
	for x, want := range map[float64]float64{0: 1, -701: 0, math.Inf(-1): 0, math.NaN(): 0} {
		if got := exp(x); got != want {
			t.Errorf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if log(1) != 0 {
		t.Errorf("log(1) = %v", log(1))
	}
}

func TestLogSumExp(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	logits := make([]float32, 49152)
	sum := new(big.Float).SetPrec(200)
	for i := range logits {
		logits[i] = float32(r.NormFloat64()*4) + 300 // a plain sum of exponentials would overflow float32
		sum.Add(sum, big.NewFloat(math.Exp(float64(logits[i])-300)))
	}
	f, _ := sum.Float64()
	if got, want := LogSumExp(logits), math.Log(f)+300; math.Abs(got-want) > 1e-12*want {
		t.Errorf("got %v, want %v", got, want)
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, bad := range [][]float32{{}, {-inf}, {1, inf}, {1, nan, 2}} {
		if got := LogSumExp(bad); !math.IsNaN(got) {
			t.Errorf("LogSumExp(%v) = %v, want NaN", bad, got)
		}
	}
	if got := LogSumExp([]float32{-inf, 2}); got != 2 {
		t.Errorf("one token: %v, want 2", got)
	}
}

func TestTop(t *testing.T) {
	got := Top(nil, logs(.1, .3, .2, .3, .1), 3)
	want := []TokenLogProb{{1, math.Log(.3)}, {3, math.Log(.3)}, {2, math.Log(.2)}}
	if !slices.EqualFunc(got, want, func(a, b TokenLogProb) bool {
		return a.ID == b.ID && math.Abs(a.LogProb-b.LogProb) < 1e-6
	}) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Top(got, logs(.5, .5), 32); len(got) != 2 || got[0].ID != 0 {
		t.Errorf("more than there are: %v", got)
	}
	if got := Top(nil, nil, 3); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func BenchmarkSample(b *testing.B) {
	noTopK := Defaults()
	noTopK.TopK = 0
	greedy := Defaults()
	greedy.Temperature = 0
	for _, c := range []struct {
		name string
		p    Params
	}{{"default", Defaults()}, {"no top_k", noTopK}, {"greedy", greedy}} {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, 3))
			logits := make([]float32, 151936)
			for i := range logits {
				logits[i] = float32(r.NormFloat64() * 3)
			}
			s := New(c.p, len(logits))
			b.ReportAllocs()
			for b.Loop() {
				s.Accept(s.Sample(logits))
			}
		})
	}
}
