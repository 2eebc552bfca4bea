package recurrent

import "fmt"

// checkpoint is a copy of a sequence's state at an earlier position.
type checkpoint struct {
	seq   int // -1: free
	base  int
	tick  uint64 // when it was last of use
	state []float32
}

// Checkpoint keeps a copy of the state of a sequence and returns its position: the length of the sequence without what is
// logged. It takes the place of the checkpoint that was of no use for the longest time. It returns 0, and keeps nothing,
// where there is no place for checkpoints or nothing to keep.
func (s *State) Checkpoint(seq int) int {
	q := &s.sequences[seq]
	if len(s.checkpoints) == 0 || q.base == 0 {
		return 0
	}
	s.ticks++
	best := &s.checkpoints[0]
	for i := range s.checkpoints {
		c := &s.checkpoints[i]
		if c.seq == seq && c.base == q.base {
			c.tick = s.ticks
			return c.base
		}
		if best.seq >= 0 && (c.seq < 0 || c.tick < best.tick) {
			best = c
		}
	}
	copy(best.state, q.state)
	best.seq, best.base, best.tick = seq, q.base, s.ticks
	return q.base
}

// Resumable returns the length that Truncate to n would leave.
func (s *State) Resumable(seq, n int) int {
	q := &s.sequences[seq]
	if n >= q.base {
		return min(n, q.base+q.logged)
	}
	if c := s.nearest(seq, n); c != nil {
		return c.base
	}
	return 0
}

// nearest returns the last checkpoint of a sequence up to n, or nil.
func (s *State) nearest(seq, n int) *checkpoint {
	var best *checkpoint
	for i := range s.checkpoints {
		if c := &s.checkpoints[i]; c.seq == seq && c.base <= n && (best == nil || c.base > best.base) {
			best = c
		}
	}
	return best
}

// Truncate takes the tokens from n on back, and more where it must: to the checkpoint before, or to the beginning. It returns
// the length that is left: the token at that position is the one to run next. Checkpoints behind n are forgotten.
func (s *State) Truncate(seq, n int) (int, error) {
	if seq < 0 || seq >= len(s.sequences) || n < 0 || n > s.Len(seq) {
		return 0, fmt.Errorf("recurrent state: truncate sequence %d to %d: no such sequence or position", seq, n)
	}
	q := &s.sequences[seq]
	for i := range s.checkpoints {
		if c := &s.checkpoints[i]; c.seq == seq && c.base > n {
			c.seq = -1
		}
	}
	if n >= q.base {
		q.logged = n - q.base
		return n, nil
	}
	q.base, q.logged = 0, 0
	if c := s.nearest(seq, n); c != nil {
		s.ticks++
		copy(q.state, c.state)
		q.base, c.tick = c.base, s.ticks
	}
	return q.base, nil
}
