//go:build !purego

package kernel

import kernels "siskin/kernels_amd64"

// pause waits for a moment, about 5 to 50 ns, in a way that leaves the core to its other hardware thread.
func pause() { kernels.Pause() }

// prefetch asks for b in the second-level cache and does not wait for it.
func prefetch(b []byte) { kernels.Prefetch(b) }
