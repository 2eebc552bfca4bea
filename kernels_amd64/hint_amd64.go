//go:build !purego

package kernels

// Pause waits for a moment: the instruction PAUSE, once, for loops that wait for another core. It takes about 10 cycles,
// about 140 on Intel's since Skylake (Intel 64 and IA-32 Architectures Optimization Reference Manual, section on pause
// latency), and leaves the core to its other hardware thread.
//
//go:noescape
func Pause()

// Prefetch asks for b in the second-level cache and does not wait for it: the lines come while other work goes on.
func Prefetch(b []byte) {
	if len(b) > 0 {
		prefetch(&b[0], len(b))
	}
}

// prefetch asks for the lines of 64 bytes that begin at p, p+64 and so on before p+n; n is at least 1. An address without memory
// behind it does no harm (AMD64 Architecture Programmer's Manual volume 3, PREFETCHlevel).
//
//go:noescape
func prefetch(p *byte, n int)
