package recurrent

import (
	"math"

	"siskin/model/arena"
)

// buffers are what the steps of one layer hand to each other.
type buffers struct {
	layer int
	conv  convolution
	scan  scan
	ssm   *Mamba2   // under way
	net   *DeltaNet // under way
	in    [3][]float32

	mixed   []float32 // (rows, channels) outputs of the convolution
	pairs   []float32 // (rows, groups, 2, cols) query and key
	dots    []float32 // (rows, groups) query times key
	decay   []float32 // (rows, heads)
	gain    []float32 // (rows, heads)
	ones    []float32 // (convBlock)
	workers []worker

	convTask, scanTask, deltaTask, mambaTask, gateTask, normTask func(worker, i int)
}

// worker is what one worker needs for a piece of a matrix.
type worker struct {
	matrix   []float32 // (blockRows, cols) a state that drafts may change
	products []float32 // (2, blockRows)
	update   []float32 // (blockRows)
}

func (s *State) bind(workers int, a *arena.Arena) {
	sh, n := &s.shape, s.limits.Rows
	s.mixed = a.Floats(n * sh.Channels)
	s.pairs = a.Floats(n * sh.Groups * 2 * sh.Cols)
	s.dots = a.Floats(n * sh.Groups)
	s.decay = a.Floats(n * sh.Heads)
	s.gain = a.Floats(n * sh.Heads)
	s.ones = a.Floats(convBlock)
	for i := range s.ones {
		s.ones[i] = 1
	}
	if sh.Heads > 0 {
		for range workers {
			rows := s.blockRows()
			s.workers = append(s.workers, worker{
				matrix:   a.Floats(rows * sh.Cols),
				products: a.Floats(2 * rows),
				update:   a.Floats(rows),
			})
		}
	}
	s.convTask, s.scanTask = s.convPiece, s.scanPiece
	s.deltaTask, s.mambaTask, s.gateTask, s.normTask = s.deltaRow, s.mambaRow, s.gateRow, s.normRow
}

// serialRows is the number of rows up to which row-wise steps run on the caller: waking a worker costs more.
const serialRows = 1

// each runs task for every row of the pass.
func (s *State) each(task func(worker, i int)) {
	if s.rows <= serialRows {
		for i := range s.rows {
			task(0, i)
		}
		return
	}
	s.pool.Run(s.rows, task)
}

// dot is a·b in float64, in order.
func dot(a, b []float32) float64 {
	var sum float64
	b = b[:len(a)]
	for i, f := range a {
		sum += float64(f) * float64(b[i])
	}
	return sum
}

// softplus is log(1+e^x); from 20 on it is x to the precision of float32.
func softplus(x float64) float64 {
	if x > 20 {
		return x
	}
	return math.Log1p(math.Exp(x))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
