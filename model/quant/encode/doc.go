// Package encode turns float32 weights into the block formats of package quant, with scales and minima that are searched
// for: the least sum of squared errors that a block can have, as far as a few dozen attempts find it.
//
// The formats say what a decoder does; how an encoder chooses is free. All searches here are of one kind: a divisor gives
// integers, integers give the best scale (and minimum) by least squares, the best of several divisors wins. Scales that are
// themselves quantised are then chosen again beside their neighbours, with what they became. No weight of importance is
// used: without data about activations every column counts the same (daemon/doc/decisions/0015-quantize.md).
//
// It holds no state and does no I/O. Sums are in float64, where a float32 times a small integer is exact, so that the same
// weights give the same bytes on every machine.
package encode
