package recurrent_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"siskin/model/recurrent"
)

// layer is one kind of layer with random weights: what goes in for a token, what State makes of it, and what is right.
type layer struct {
	name      string
	shape     recurrent.Shape
	ends      []int // of the columns of each projection
	out       int   // columns
	run       func(s *recurrent.State, index int, in [][]float32, out []float32)
	reference func(in [][]float64) [][]float64
}

func random(rng *rand.Rand, n int, low, high float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(low + (high-low)*rng.Float64())
	}
	return out
}

// in is the columns of all projections, projections those of some rows.
func (l *layer) in() int { return l.ends[len(l.ends)-1] }

func (l *layer) projections(in [][]float32) [][]float32 {
	out := make([][]float32, len(l.ends))
	from := 0
	for i, to := range l.ends {
		for _, row := range in {
			out[i] = append(out[i], row[from:to]...)
		}
		from = to
	}
	return out
}

func shortConv(channels, taps int) layer {
	w := &recurrent.ShortConv{Conv: random(rand.New(rand.NewPCG(1, 2)), taps*channels, -1, 1)}
	return layer{
		name:  fmt.Sprintf("short convolution of %d channels", channels),
		shape: recurrent.Shape{Layers: 2, Channels: channels, Taps: taps},
		ends:  []int{3 * channels}, out: channels,
		run: func(s *recurrent.State, index int, in [][]float32, out []float32) {
			s.ShortConv(index, w, in[0], out)
		},
		reference: func(in [][]float64) [][]float64 {
			gated := newMatrix(len(in), channels)
			for t, row := range in {
				for c := range channels {
					gated[t][c] = row[c] * row[2*channels+c]
				}
			}
			out := causalConv(gated, w.Conv, nil, taps)
			for t, row := range in {
				for c := range channels {
					out[t][c] *= row[channels+c]
				}
			}
			return out
		},
	}
}

func deltaNet(heads, groups, rows, cols int) layer {
	const taps, eps = 4, 1e-6
	rng := rand.New(rand.NewPCG(3, 4))
	key, inner := groups*cols, heads*rows
	channels := 2*key + inner
	w := &recurrent.DeltaNet{
		Conv: random(rng, taps*channels, -1, 1), A: random(rng, heads, -2, -0.1), DT: random(rng, heads, -3, 1),
		Norm: random(rng, rows, 0.5, 1.5), Epsilon: eps,
	}
	ends := []int{channels, channels + inner, channels + inner + heads, channels + inner + 2*heads}
	return layer{
		name:  fmt.Sprintf("delta net of %d heads of %dx%d, %d keys", heads, rows, cols, groups),
		shape: recurrent.Shape{Layers: 2, Channels: channels, Taps: taps, Heads: heads, Rows: rows, Cols: cols, Groups: groups},
		ends:  ends, out: inner,
		run: func(s *recurrent.State, index int, in [][]float32, out []float32) {
			s.DeltaNet(index, w, in[0], in[1], in[2], in[3], out)
		},
		reference: func(in [][]float64) [][]float64 {
			mixed := newMatrix(len(in), channels)
			for t := range in {
				copy(mixed[t], in[t])
			}
			mixed = eachValue(causalConv(mixed, w.Conv, nil, taps), silu)
			out := newMatrix(len(in), inner)
			for h := range heads {
				state, g := newMatrix(rows, cols), h%groups
				for t, x := range mixed {
					q, k := unit(x[g*cols:(g+1)*cols]), unit(x[key+g*cols:key+(g+1)*cols])
					decay := math.Exp(float64(w.A[h]) * softplus(in[t][ends[1]+h]+float64(w.DT[h])))
					beta := 1 / (1 + math.Exp(-in[t][ends[2]+h]))
					wrong := make([]float64, rows)
					for i := range rows {
						wrong[i] = x[2*key+h*rows+i] - decay*innerProduct(state[i], k)
					}
					outer(state, decay, beta, wrong, k)
					y := out[t][h*rows : (h+1)*rows]
					for i := range y {
						y[i] = innerProduct(state[i], q) / math.Sqrt(float64(cols))
					}
					rmsNorm(y, w.Norm, eps)
					for i := range y {
						y[i] *= silu(in[t][ends[0]+h*rows+i])
					}
				}
			}
			return out
		},
	}
}

func mamba2(heads, groups, rows, cols int, norm, bias bool) layer {
	const taps, eps = 4, 1e-5
	rng := rand.New(rand.NewPCG(5, 6))
	inner, key := heads*rows, groups*cols
	channels := inner + 2*key
	w := &recurrent.Mamba2{
		Conv: random(rng, taps*channels, -1, 1), A: random(rng, heads, -2, -0.1), D: random(rng, heads, -1, 1),
		DT: random(rng, heads, -3, 1), Epsilon: eps,
	}
	if norm {
		w.Norm = random(rng, inner, 0.5, 1.5)
	}
	if bias {
		w.ConvBias = random(rng, channels, -1, 1)
	}
	return layer{
		name:  fmt.Sprintf("mamba-2 of %d heads of %dx%d, %d groups", heads, rows, cols, groups),
		shape: recurrent.Shape{Layers: 2, Channels: channels, Taps: taps, Heads: heads, Rows: rows, Cols: cols, Groups: groups},
		ends:  []int{inner + channels + heads}, out: inner,
		run: func(s *recurrent.State, index int, in [][]float32, out []float32) {
			s.Mamba2(index, w, in[0], out)
		},
		reference: func(in [][]float64) [][]float64 {
			mixed := newMatrix(len(in), channels)
			for t := range in {
				copy(mixed[t], in[t][inner:])
			}
			mixed = eachValue(causalConv(mixed, w.Conv, w.ConvBias, taps), silu)
			out := newMatrix(len(in), inner)
			for h := range heads {
				state, g := newMatrix(rows, cols), h/(heads/groups)
				for t, x := range mixed {
					step := softplus(in[t][inner+channels+h] + float64(w.DT[h]))
					b, c := x[inner+g*cols:inner+(g+1)*cols], x[inner+key+g*cols:inner+key+(g+1)*cols]
					value := x[h*rows : (h+1)*rows]
					outer(state, math.Exp(step*float64(w.A[h])), step, value, b)
					for i := range rows {
						y := innerProduct(state[i], c) + float64(w.D[h])*value[i]
						out[t][h*rows+i] = y * silu(in[t][h*rows+i])
					}
				}
			}
			if norm {
				for t := range out {
					for g := range groups {
						n := inner / groups
						rmsNorm(out[t][g*n:(g+1)*n], w.Norm[g*n:(g+1)*n], eps)
					}
				}
			}
			return out
		},
	}
}

func layers() []layer {
	return []layer{
		shortConv(300, 3), shortConv(64, 2),
		deltaNet(4, 2, 64, 64), deltaNet(3, 3, 20, 24), deltaNet(2, 2, 128, 128),
		mamba2(4, 1, 32, 64, true, true), mamba2(6, 2, 20, 24, false, false), mamba2(4, 2, 64, 256, true, true),
	}
}
