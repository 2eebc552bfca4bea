package recurrent

import "siskin/model/kernel"

// scanBytes is how much of a matrix a worker takes through the rows of a pass: it stays in a first-level cache of 32 KB, and
// a head of 128x128 gives several workers something to do.
const scanBytes = 16 << 10

// scan is the recurrence under way.
type scan struct {
	delta  bool      // the gated delta rule: updates are corrected by what the state says already
	tiled  bool      // head h has the key h mod Groups, else h / (Heads/Groups)
	values []float32 // (rows, stride) the first Heads*Rows of a row
	stride int
	skip   []float32 // (heads) how much of the value is added to the output, or nil
	out    []float32 // (rows, heads, Rows)
}

// group is the key of a head.
func (s *State) group(head int) int {
	if s.scan.tiled {
		return head % s.shape.Groups
	}
	return head / (s.shape.Heads / s.shape.Groups)
}

// blockRows is the rows of a matrix in a piece.
func (s *State) blockRows() int { return min(s.shape.Rows, max(1, scanBytes/4/s.shape.Cols)) }

func (s *State) scanPieces() int {
	rows := s.blockRows()
	return s.shape.Heads * ((s.shape.Rows + rows - 1) / rows)
}

// recur runs the recurrence of a layer over pairs, dots, decay and gain.
func (s *State) recur(layer int, c scan) {
	s.layer, s.scan = layer, c
	s.pool.Run(len(s.runs)*s.scanPieces(), s.scanTask)
	s.logShared()
}

// scanPiece takes some rows of one head's matrix through the rows of one run.
func (s *State) scanPiece(worker, i int) {
	sh := &s.shape
	pieces := s.scanPieces()
	r := &s.runs[i/pieces]
	blocks := pieces / sh.Heads
	head, block := i%pieces/blocks, i%pieces%blocks
	from := block * s.blockRows()
	to := min(from+s.blockRows(), sh.Rows)
	w := &s.workers[worker]
	q := &s.sequences[r.seq]
	matrix := s.matrices(q, s.layer)[(head*sh.Rows+from)*sh.Cols:][:(to-from)*sh.Cols]
	for t := range r.replay {
		e := s.entry(q, s.layer, t)
		s.fold(matrix, e.decay[head:head+1], e.update[head*sh.Rows+from:head*sh.Rows+to], e.key[s.group(head)*sh.Cols:][:sh.Cols])
	}
	for t := range r.rows {
		if t == r.kept {
			matrix = w.matrix[:copy(w.matrix, matrix)]
		}
		row := s.rowOf(r, t)
		s.step(matrix, w, row, head, from, to)
		if t >= r.kept {
			copy(s.entry(q, s.layer, t-r.kept).update[head*sh.Rows+from:], w.update[:to-from])
		}
		if t+1 < r.rows || t < r.kept {
			s.fold(matrix, s.decay[row*sh.Heads+head:][:1], w.update[:to-from], s.pair(row, s.group(head))[sh.Cols:])
		}
	}
}

// step computes rows [from, to) of a head's output for one row of the pass, and leaves the update in w.update.
func (s *State) step(matrix []float32, w *worker, row, head, from, to int) {
	sh, n := &s.shape, to-from
	vectors := 1 // the query
	if s.scan.delta {
		vectors = 2 // and the key
	}
	group := s.group(head)
	s.set.MatMulF32(w.products, n, kernel.FloatBytes(matrix), n, sh.Cols, s.pair(row, group)[:vectors*sh.Cols], vectors)
	decay, gain, dot := s.decay[row*sh.Heads+head], s.gain[row*sh.Heads+head], s.dots[row*sh.Groups+group]
	values := s.scan.values[row*s.scan.stride+head*sh.Rows:][from:to]
	out := s.scan.out[(row*sh.Heads+head)*sh.Rows:][from:to]
	skip := float32(0)
	if s.scan.skip != nil {
		skip = s.scan.skip[head]
	}
	update, read := w.update[:n], w.products[:n]
	if s.scan.delta {
		known := w.products[n:][:n]
		for i, v := range values {
			update[i] = gain * (v - decay*known[i])
		}
	} else {
		for i, v := range values {
			update[i] = gain * v
		}
	}
	for i := range out {
		out[i] = decay*read[i] + dot*update[i] + skip*values[i]
	}
}

// fold is the recurrence of some rows of a matrix: each becomes decay times itself plus its update times the key.
func (s *State) fold(matrix, decay, update, key []float32) {
	cols := len(key)
	if cols%foldLanes == 0 {
		for i := range update {
			s.set.FoldRows(matrix[i*cols:(i+1)*cols], key, cols, 1, decay, update[i:i+1])
		}
		return
	}
	for i, u := range update {
		row := matrix[i*cols:][:cols]
		for j, k := range key {
			row[j] = decay[0]*row[j] + u*k
		}
	}
}

// foldLanes divides the columns that kernel.Set.FoldRows takes.
const foldLanes = 16

// pair is the query and the key of a row: one after the other, for one product.
func (s *State) pair(row, group int) []float32 {
	n := 2 * s.shape.Cols
	return s.pairs[(row*s.shape.Groups+group)*n:][:n]
}

// logShared logs what all rows of a matrix share: after the pieces, which read what was logged before.
func (s *State) logShared() {
	sh := &s.shape
	for i := range s.runs {
		r := &s.runs[i]
		for t := r.kept; t < r.rows; t++ {
			e, row := s.entry(&s.sequences[r.seq], s.layer, t-r.kept), s.rowOf(r, t)
			copy(e.decay, s.decay[row*sh.Heads:])
			for g := range sh.Groups {
				copy(e.key[g*sh.Cols:][:sh.Cols], s.pair(row, g)[sh.Cols:])
			}
		}
	}
}
