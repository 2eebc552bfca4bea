//go:build !linux

package kernel

import "sync"

// bed is where a sleeper sleeps: a condition, whose zero value is ready.
type bed struct {
	mu   sync.Mutex
	once sync.Once
	cond *sync.Cond
}

func (b *bed) settle() {}

func (b *bed) condition() *sync.Cond {
	b.once.Do(func() { b.cond = sync.NewCond(&b.mu) })
	return b.cond
}

// park returns once state is not 1.
func (s *sleeper) park() {
	c := s.condition()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state.Load() == 1 {
		c.Wait()
	}
}

// wake is called after state has changed; the lock keeps the sleeper from missing it.
func (s *sleeper) wake() {
	c := s.condition()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Signal()
}
