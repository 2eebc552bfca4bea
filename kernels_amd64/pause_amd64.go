//go:build !purego

package kernels

// Pause waits for a moment: the instruction PAUSE, once, for loops that wait for another core. It takes about 10 cycles,
// about 140 on Intel's since Skylake (Intel 64 and IA-32 Architectures Optimization Reference Manual, section on pause
// latency), and leaves the core to its other hardware thread.
//
//go:noescape
func Pause()
