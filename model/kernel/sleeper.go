package kernel

import "sync/atomic"

const (
	// spinLooks bounds how often a sleeper looks before it parks. A look with its pause is 14 ns (Xeon, 2.6 GHz) to 50 ns
	// (Intel since Skylake, where PAUSE is 140 cycles), so the bound is some 70 to 250 us: longer than the steps of a
	// pass that run on one core and than choosing a token, shorter than anything a person or another process notices.
	spinLooks = 5000
	// fewerSpins bounds how far spinLooks is halved where spinning has been in vain: to 156 looks.
	fewerSpins = 5
	// spinAgain is after how many vain spins the whole bound is tried again.
	spinAgain = 64
)

// sleeper lets one goroutine sleep until it is roused: first it spins, then it parks.
//
// On a busy machine the partner that a sleeper waits for has often lost its core, perhaps to the sleeper: then every
// look is in vain, and parking at once gives the core to whom it is due. A sleeper cannot see that, but it sees that it
// had to park, and spins the less the more often it had to. Measured with one busy process for each core, this is worth
// 15 % (daemon/doc/decisions/0007-threads.md).
type sleeper struct {
	state atomic.Uint32 // 1 while the owner sleeps or is about to
	vain  uint8         // how often, lately, spinning was in vain; the owner's
	bed
}

// sleepUntil returns once ready holds. ready must become true before rouse is called.
func (s *sleeper) sleepUntil(ready func() bool) {
	for range spinLooks >> min(s.vain, fewerSpins) {
		if ready() {
			s.vain /= 2
			return
		}
		pause()
	}
	s.vain = (s.vain + 1) % spinAgain
	for {
		s.state.Store(1)
		if ready() {
			s.state.Store(0)
			return
		}
		s.park()
	}
}

// rouse wakes the sleeper if there is one. Sleepers look again when they wake, so one wake too many is harmless.
func (s *sleeper) rouse() {
	if s.state.Load() != 0 && s.state.Swap(0) != 0 {
		s.wake()
	}
}
