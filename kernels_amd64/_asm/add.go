package main

// add generates the sum of two vectors.
func (a *asm) add() {
	a.function("addAVX2", "func(dst, x *float32, n int)", "addAVX2 sets dst[i] += x[i], i < n.")
	dst, x, n := a.param("dst"), a.param("x"), a.param("n")
	a.chunks(n, func(c chunk) {
		v, w := c.load(dst), c.load(x)
		a.VADDPS(w, v, v)
		c.store(v, dst)
	}, dst, x)
	a.ret()
}
