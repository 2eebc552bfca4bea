//go:build !purego

package kernels

// layout describes a format: ggml-common.h of llama.cpp, read 2026-11, and quant's decoders.
type layout struct {
	bytes, columns int // of a block
	// gather are the operations of gather for a block: 2 for a unit of 2 bytes, 4 for one of 4, 16 for four units of 4, 0 at
	// the end.
	gather string
}

// maxPartBytes is the most bytes of a row in unpackedBlocks blocks of 32 columns: Q8_0.
const maxPartBytes = 34 * unpackedBlocks

// layout has one line per format; the numbers of bytes are those of the fields in order.
func (f Format) layout() layout {
	const (
		half, word = "\x02", "\x04"
		bytes16    = "\x10"
		bytes32    = bytes16 + bytes16
		bytes64    = bytes32 + bytes32
		bytes128   = bytes64 + bytes64
		end        = "\x00"
	)
	switch f {
	case Q40:
		return layout{bytes: 18, columns: 32, gather: half + bytes16 + end}
	case Q41:
		return layout{bytes: 20, columns: 32, gather: half + half + bytes16 + end}
	case Q50:
		return layout{bytes: 22, columns: 32, gather: half + word + bytes16 + end}
	case Q51:
		return layout{bytes: 24, columns: 32, gather: half + half + word + bytes16 + end}
	case Q80:
		return layout{bytes: 34, columns: 32, gather: half + bytes32 + end}
	case IQ4NL:
		return layout{bytes: 18, columns: 32, gather: half + bytes16 + end}
	case IQ4XS:
		return layout{bytes: 136, columns: 256, gather: half + half + word + bytes128 + end}
	case Q2K:
		return layout{bytes: 84, columns: 256, gather: bytes16 + bytes64 + half + half + end}
	case Q3K:
		return layout{bytes: 110, columns: 256, gather: bytes32 + bytes64 + word + word + word + half + end}
	case Q4K:
		return layout{bytes: 144, columns: 256, gather: half + half + word + word + word + bytes128 + end}
	case Q5K:
		return layout{bytes: 176, columns: 256, gather: half + half + word + word + word + bytes32 + bytes128 + end}
	default: // Q6_K
		return layout{bytes: 210, columns: 256, gather: bytes128 + bytes64 + bytes16 + half + end}
	}
}

// unpack turns packed blocks of a group of rows into a tile; Q8_0 needs none but for SMMLA.
func (f Format) unpack(tile *unpacked, src *byte, blocks int) {
	switch f {
	case Q40:
		unpackQ40(tile, src, blocks)
	case Q41:
		unpackQ41(tile, src, blocks)
	case Q50:
		unpackQ50(tile, src, blocks)
	case Q51:
		unpackQ51(tile, src, blocks)
	case Q80:
		unpackQ80(tile, src, blocks)
	case IQ4NL:
		unpackIQ4NL(tile, src, blocks)
	case IQ4XS:
		unpackIQ4XS(tile, src, blocks)
	case Q2K:
		unpackQ2K(tile, src, blocks)
	case Q3K:
		unpackQ3K(tile, src, blocks)
	case Q4K:
		unpackQ4K(tile, src, blocks)
	case Q5K:
		unpackQ5K(tile, src, blocks)
	default:
		unpackQ6K(tile, src, blocks)
	}
}

// i8mm2 chooses the product of a paired tile for the format, with groups of two activation rows.
func (f Format) i8mm2(p *pass) {
	switch f {
	case Q2K:
		tileI8MMHalvesMin2(p)
	case Q3K, Q6K:
		tileI8MMHalves2(p)
	case Q41, Q51, Q4K, Q5K:
		tileI8MMMin2(p)
	default:
		tileI8MM2(p)
	}
}

// dotProd4 and the next three choose the product for the format: of a tile, or of packed Q8_0, with groups of four, two or
// one activation rows.
func (f Format) dotProd4(p *pass) {
	switch f {
	case Q80:
		tileDotProdPacked4(p)
	case Q2K:
		tileDotProdHalvesMin4(p)
	case Q3K, Q6K:
		tileDotProdHalves4(p)
	case Q41, Q51, Q4K, Q5K:
		tileDotProdMin4(p)
	default:
		tileDotProd4(p)
	}
}

func (f Format) dotProd1(p *pass) {
	switch f {
	case Q80:
		tileDotProdPacked1(p)
	case Q2K:
		tileDotProdHalvesMin1(p)
	case Q3K, Q6K:
		tileDotProdHalves1(p)
	case Q41, Q51, Q4K, Q5K:
		tileDotProdMin1(p)
	default:
		tileDotProd1(p)
	}
}

func (f Format) neon2(p *pass) {
	switch f {
	case Q51, Q5K:
		tileNEONFiveMin2(p)
	case Q41, Q4K:
		tileNEONMin2(p)
	default:
		tileNEON2(p)
	}
}

func (f Format) neon1(p *pass) {
	switch f {
	case Q80:
		tileNEONPacked1(p)
	case IQ4NL, IQ4XS:
		tileNEONLarge1(p)
	case Q2K:
		tileNEONHalvesMin1(p)
	case Q3K, Q6K:
		tileNEONHalves1(p)
	case Q51, Q5K:
		tileNEONFiveMin1(p)
	case Q41, Q4K:
		tileNEONMin1(p)
	default:
		tileNEON1(p)
	}
}

// hasPairs reports whether plain NEON multiplies two activation rows at a time.
func (f Format) hasPairs() bool {
	switch f {
	case Q40, Q41, Q50, Q51, Q4K, Q5K:
		return true
	default:
		return false
	}
}

// hasDirect reports whether one activation row is multiplied without a tile.
func (f Format) hasDirect(dotProd bool) bool {
	switch f {
	case Q40, Q41, Q4K, Q5K, Q6K:
		return true
	case IQ4NL, IQ4XS:
		return dotProd
	default:
		return false
	}
}

// directDotProd and directNEON multiply with one activation row.
func (f Format) directDotProd(d *direct) {
	switch f {
	case Q40:
		directQ40DotProd(d)
	case Q41:
		directQ41DotProd(d)
	case IQ4NL:
		directIQ4NLDotProd(d)
	case IQ4XS:
		directIQ4XSDotProd(d)
	case Q4K:
		directQ4KDotProd(d)
	case Q5K:
		directQ5KDotProd(d)
	case Q6K:
		directQ6KDotProd(d)
	}
}

func (f Format) directNEON(d *direct) {
	switch f {
	case Q40:
		directQ40NEON(d)
	case Q41:
		directQ41NEON(d)
	case Q4K:
		directQ4KNEON(d)
	case Q5K:
		directQ5KNEON(d)
	case Q6K:
		directQ6KNEON(d)
	}
}
