//go:build !purego

package kernels

// The products of tiles are in tile_neon_arm64.s and tile_dotprod_arm64.s, the unpackers in unpack_arm64.s.

//go:noescape
func tileDotProd4(p *pass)

//go:noescape
func tileDotProd1(p *pass)

//go:noescape
func tileDotProdMin4(p *pass)

//go:noescape
func tileDotProdMin1(p *pass)

//go:noescape
func tileDotProdHalves4(p *pass)

//go:noescape
func tileDotProdHalves1(p *pass)

//go:noescape
func tileDotProdHalvesMin4(p *pass)

//go:noescape
func tileDotProdHalvesMin1(p *pass)

//go:noescape
func tileNEON1(p *pass)

//go:noescape
func tileNEON2(p *pass)

//go:noescape
func tileNEONMin1(p *pass)

//go:noescape
func tileNEONMin2(p *pass)

//go:noescape
func tileNEONFiveMin1(p *pass)

//go:noescape
func tileNEONFiveMin2(p *pass)

//go:noescape
func tileNEONLarge1(p *pass)

//go:noescape
func tileNEONHalves1(p *pass)

//go:noescape
func tileNEONHalvesMin1(p *pass)

//go:noescape
func unpackQ40(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ41(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ80(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ50(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ51(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackIQ4NL(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackIQ4XS(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ4K(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ5K(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ2K(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ3K(tile *unpacked, src *byte, blocks int)

//go:noescape
func unpackQ6K(tile *unpacked, src *byte, blocks int)
