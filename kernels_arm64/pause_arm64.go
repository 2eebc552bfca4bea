//go:build !purego

package kernels

// Pause waits for a moment, for loops that wait for another core: the instruction ISB, once, which empties the pipeline.
// YIELD, which the architecture has for such loops, does nothing on the cores of Arm; ISB takes about as long as PAUSE
// on x86, and other languages' libraries use it (rust-lang/rust pull request 84725).
//
//go:noescape
func Pause()
