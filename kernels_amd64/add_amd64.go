//go:build !purego

package kernels

// AddAVX2 is kernel.Set.Add.
func AddAVX2(dst, x []float32) {
	must(len(x) == len(dst), "values to add", len(x), len(dst))
	raceRead(x)
	raceWrite(dst)
	for i := 0; i < len(dst); i += callValues {
		addAVX2(&dst[i], &x[i], min(callValues, len(dst)-i))
	}
}
