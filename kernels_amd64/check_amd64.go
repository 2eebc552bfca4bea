//go:build !purego

package kernels

import "fmt"

// must panics unless ok: a length that does not fit is a bug of the caller.
func must(ok bool, what string, got, want int) {
	if !ok {
		panic(fmt.Sprintf("kernels: %s: %d, want %d", what, got, want))
	}
}

// checkProduct panics unless dst and w hold what a product of these dimensions touches, and tells the race detector.
func checkProduct(dst []float32, dstStride int, w []byte, rowBytes, rows, cols, n int) {
	must(rows >= 0, "rows at least", rows, 0)
	must(cols >= 1, "columns at least", cols, 1)
	must(n >= 0, "activation rows at least", n, 0)
	must(n <= 1 || dstStride >= rows, "destination stride at least", dstStride, rows)
	if rows == 0 || n == 0 {
		return
	}
	must(len(w) >= rows*rowBytes, "weight bytes at least", len(w), rows*rowBytes)
	must(len(dst) >= (n-1)*dstStride+rows, "destination length at least", len(dst), (n-1)*dstStride+rows)
	raceRead(w[:rows*rowBytes])
	for t := range n {
		raceWrite(dst[t*dstStride:][:rows])
	}
}
