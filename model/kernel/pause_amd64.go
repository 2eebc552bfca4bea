//go:build !purego

package kernel

import kernels "siskin/kernels_amd64"

// pause waits for a moment, about 5 to 50 ns, in a way that leaves the core to its other hardware thread.
func pause() { kernels.Pause() }
