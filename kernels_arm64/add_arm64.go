//go:build !purego

package kernels

// AddNEON computes dst += x. It panics if the lengths differ.
func AddNEON(dst, x []float32) {
	mustLen("values to add", len(x), len(dst))
	raceRead(x)
	raceWrite(dst)
	for i := 0; i < len(dst); i += callValues {
		add(&dst[i], &x[i], min(callValues, len(dst)-i))
	}
}

// add is in add_arm64.s.
//
//go:noescape
func add(dst, x *float32, n int)
