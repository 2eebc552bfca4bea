//go:build !purego

package kernels

// HadamardAVX2 is kernel.Attention.Hadamard, to the bit, for blocks of 32 and 64.
func HadamardAVX2(x []float32, block int, scale float32) {
	must(block == kvBlock || block == 2*kvBlock, "values of a block, in units of 32, 1 or 2", block, kvBlock)
	must(len(x)%block == 0, "values, in whole blocks of", len(x), block)
	raceWrite(x)
	for ; len(x) > 0; x = x[min(len(x), callValues):] {
		blocks := min(len(x), callValues) / block
		if block == kvBlock {
			hadamard32AVX2(&x[0], blocks, scale)
		} else {
			hadamard64AVX2(&x[0], blocks, scale)
		}
	}
}

// QuantizeKVAVX2 is kernel.Attention.QuantizeKV; scales and, of finite values, integers are those of the reference.
func QuantizeKVAVX2(dst []byte, scale, x []float32, block int) {
	must(block >= kvBlock && block%kvBlock == 0, "values of a block, in whole units of", block, kvBlock)
	must(len(x)%block == 0, "values, in whole blocks of", len(x), block)
	must(len(dst) >= len(x), "integers at least", len(dst), len(x))
	must(len(scale) >= len(x)/block, "scales at least", len(scale), len(x)/block)
	raceWrite(dst[:len(x)])
	raceWrite(scale[:len(x)/block])
	raceRead(x)
	if len(x) > 0 {
		quantizeKVAVX2(&dst[0], &scale[0], &x[0], block, len(x)/block)
	}
}
