package quant

// RotateHalves is Rotate for pairs of columns that lie len(cos) apart, j and j+len(cos) (GGUF's NEOX order).
func RotateHalves(x []float32, heads, headDim int, cos, sin []float32, scale float32) {
	mustLen("heads", len(x), heads*headDim)
	mustLen("sines", len(sin), len(cos))
	mustAtLeast("columns", headDim, 2*len(cos))
	half := len(cos)
	for h := range heads {
		head := x[h*headDim:][:headDim]
		left, right, sin := head[:half], head[half:2*half], sin[:half]
		for j, c := range cos {
			a, b := left[j], right[j]
			left[j] = (float32(a*c) - float32(b*sin[j])) * scale
			right[j] = (float32(a*sin[j]) + float32(b*c)) * scale
		}
		for j := 2 * half; j < headDim; j++ {
			head[j] *= scale
		}
	}
}
