package model

import "fmt"

// Len returns the number of tokens of a sequence.
func (s *State) Len(seq int) int { return s.Cache.Len(seq) }

// Truncate takes the tokens of a sequence from n on back and returns how many are left: n, but where a layer is recurrent
// fewer, unless what is taken back was marked as drafts or there is a checkpoint at n. The caller feeds the tokens from the
// returned position on again.
func (s *State) Truncate(seq, n int) (int, error) {
	if seq < 0 || seq >= s.limits.Sequences || n < 0 || n > s.Cache.Len(seq) {
		return 0, fmt.Errorf("truncate sequence %d to %d: no such sequence or position: %w", seq, n, ErrRow)
	}
	left := n
	if s.mixer.states != nil {
		var err error
		// After a pass that failed halfway the states may be behind.
		if left, err = s.mixer.states.Truncate(seq, min(n, s.mixer.states.Len(seq))); err != nil {
			return 0, err
		}
	}
	return left, s.Cache.Truncate(seq, left)
}

// Resumable returns what Truncate to n would leave; it changes nothing. n is at most Len.
func (s *State) Resumable(seq, n int) int {
	if s.mixer.states == nil {
		return n
	}
	return s.mixer.states.Resumable(seq, n)
}

// Recurrent reports whether sequences have states that cannot be truncated to any length.
func (s *State) Recurrent() bool { return s.mixer.states != nil }

// Checkpoint keeps what Truncate needs to return to the present length of a sequence, in the place of what was of no use
// for the longest time. Where no layer is recurrent there is nothing to keep.
func (s *State) Checkpoint(seq int) {
	if s.mixer.states != nil {
		s.mixer.states.Checkpoint(seq)
	}
}
