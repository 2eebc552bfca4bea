//go:build !purego

package kernels

// Pause waits for a moment, for loops that wait for another core: the instruction ISB, once, which empties the pipeline.
// YIELD, which the architecture has for such loops, does nothing on the cores of Arm; ISB takes about as long as PAUSE
// on x86, and other languages' libraries use it (rust-lang/rust pull request 84725).
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
// behind it does no harm (Arm Architecture Reference Manual for A-profile, PRFM).
//
//go:noescape
func prefetch(p *byte, n int)
