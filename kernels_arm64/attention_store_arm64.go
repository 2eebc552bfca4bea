//go:build !purego

package kernels

// HadamardNEON is kernel.Attention.Hadamard, to the bit, for blocks of 32 and 64.
func HadamardNEON(x []float32, block int, scale float32) {
	must(block == kvBlock || block == 2*kvBlock, "values of a block, in units of 32, 1 or 2", block, kvBlock)
	must(len(x)%block == 0, "values, in whole blocks of", len(x), block)
	raceWrite(x)
	for ; len(x) > 0; x = x[min(len(x), callValues):] {
		blocks := min(len(x), callValues) / block
		if block == kvBlock {
			hadamard32NEON(&x[0], blocks, scale)
		} else {
			hadamard64NEON(&x[0], blocks, scale)
		}
	}
}

// kvLevels is that of quant.QuantizeKV.
const kvLevels = 127

// QuantizeKVNEON is kernel.Attention.QuantizeKV; scales and, of finite values, integers are those of the reference.
func QuantizeKVNEON(dst []byte, scale, x []float32, block int) {
	must(block >= kvBlock && block%kvBlock == 0, "values of a block, in whole units of", block, kvBlock)
	must(len(x)%block == 0, "values, in whole blocks of", len(x), block)
	must(len(dst) >= len(x), "integers at least", len(dst), len(x))
	must(len(scale) >= len(x)/block, "scales at least", len(scale), len(x)/block)
	raceWrite(dst[:len(x)])
	raceWrite(scale[:len(x)/block])
	raceRead(x)
	for b := range len(x) / block {
		at := b * block
		var levels float32
		scale[b], levels = rowScale(&x[at], nil, block, kvLevels)
		kvIntegersNEON(&dst[at], &x[at], block, levels)
	}
}

//go:noescape
func kvIntegersNEON(dst *byte, x *float32, n int, levels float32)
