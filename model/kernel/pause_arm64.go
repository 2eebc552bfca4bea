//go:build !purego

package kernel

import kernels "siskin/kernels_arm64"

// pause waits for a moment, about 5 to 50 ns.
func pause() { kernels.Pause() }
