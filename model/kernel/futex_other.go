//go:build !linux

package kernel

// bed is where a sleeper sleeps: a channel with room for one token.
type bed struct{ token chan struct{} }

func (b *bed) init() { b.token = make(chan struct{}, 1) }

// park returns once state is not 1, or earlier: there may be a token of an earlier wake.
func (s *sleeper) park() { <-s.token }

func (s *sleeper) wake() {
	select {
	case s.token <- struct{}{}:
	default:
	}
}
