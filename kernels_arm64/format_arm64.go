//go:build !purego

package kernels

// layout describes a format: ggml-common.h of llama.cpp, read 2026-11, and quant's decoders.
type layout struct {
	bytes, columns int    // of a block
	gather         string // operations of gather for a block
	halves, min    bool   // 16 columns share a scale; there are minima
	size           size
}

// size bounds the integers of a format, for sums of int16.
type size uint8

const (
	upTo16 size = iota // in magnitude
	upTo31
	anySize
)

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
		return layout{bytes: 20, columns: 32, gather: half + half + bytes16 + end, min: true}
	case Q50:
		return layout{bytes: 22, columns: 32, gather: half + word + bytes16 + end}
	case Q51:
		return layout{bytes: 24, columns: 32, gather: half + half + word + bytes16 + end, min: true, size: upTo31}
	case Q80:
		return layout{bytes: 34, columns: 32, gather: half + bytes32 + end, size: anySize}
	case IQ4NL:
		return layout{bytes: 18, columns: 32, gather: half + bytes16 + end, size: anySize}
	case IQ4XS:
		return layout{bytes: 136, columns: 256, gather: half + half + word + bytes128 + end, size: anySize}
	case Q2K:
		return layout{
			bytes: 84, columns: 256, gather: bytes16 + bytes64 + half + half + end, halves: true, min: true,
		}
	case Q3K:
		return layout{
			bytes: 110, columns: 256, gather: bytes32 + bytes64 + word + word + word + half + end, halves: true,
		}
	case Q4K:
		return layout{
			bytes: 144, columns: 256, gather: half + half + word + word + word + bytes128 + end, min: true,
		}
	case Q5K:
		return layout{
			bytes: 176, columns: 256, gather: half + half + word + word + word + bytes32 + bytes128 + end, min: true,
			size: upTo31,
		}
	default: // Q6_K
		return layout{bytes: 210, columns: 256, gather: bytes128 + bytes64 + bytes16 + half + end, halves: true}
	}
}

// unpack turns packed blocks of a group of rows into a tile.
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

// dotProd4 and the next three choose the product of a tile for the format: for four, two or one activation rows.
func (l *layout) dotProd4(p *pass) {
	switch {
	case l.halves && l.min:
		tileDotProdHalvesMin4(p)
	case l.halves:
		tileDotProdHalves4(p)
	case l.min:
		tileDotProdMin4(p)
	default:
		tileDotProd4(p)
	}
}

func (l *layout) dotProd1(p *pass) {
	switch {
	case l.halves && l.min:
		tileDotProdHalvesMin1(p)
	case l.halves:
		tileDotProdHalves1(p)
	case l.min:
		tileDotProdMin1(p)
	default:
		tileDotProd1(p)
	}
}

func (l *layout) neon2(p *pass) {
	switch {
	case l.size == upTo31:
		tileNEONFiveMin2(p)
	case l.min:
		tileNEONMin2(p)
	default:
		tileNEON2(p)
	}
}

func (l *layout) neon1(p *pass) {
	switch {
	case l.halves && l.min:
		tileNEONHalvesMin1(p)
	case l.halves:
		tileNEONHalves1(p)
	case l.size == anySize:
		tileNEONLarge1(p)
	case l.size == upTo31:
		tileNEONFiveMin1(p)
	case l.min:
		tileNEONMin1(p)
	default:
		tileNEON1(p)
	}
}
