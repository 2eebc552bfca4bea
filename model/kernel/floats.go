package kernel

import "unsafe"

// FloatBytes returns the memory of x as little endian F32 weights, for products with a matrix that was computed. The
// machines that siskin runs on are little endian.
func FloatBytes(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
