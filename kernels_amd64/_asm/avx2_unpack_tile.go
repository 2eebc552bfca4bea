package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileUnpackers generates, for one format, the functions that turn packed and plain rows into tiles.
func tileUnpackers(a *asm, f weights, vnni bool) {
	for _, packed := range []bool{true, false} {
		u := &unpacker{source: source{asm: a, packed: packed, bytes: f.size, ahead: packedAhead}, weights: f, vnni: vnni}
		u.generateTile()
	}
}

// tileSink stores weights in a tile.
type tileSink struct {
	*unpacker
	tile reg.Register
}

func (s *tileSink) unsigned(block, j, h int, v vector) {
	s.VMOVDQU(v, at(s.tile, block*s.each+64*j+32*h))
}

// signed adds 128; without VPDPBUSD it stores the low and the high four bits in two planes.
func (s *tileSink) signed(block, j, h int, v vector) {
	s.VPXOR(s.constant("bytes80", 0x80808080), v, v)
	if s.vnni {
		s.unsigned(block, j, h, v)
		return
	}
	high, mask := s.YMM(), s.constant("bytes0f", 0x0f0f0f0f)
	s.VPSRLD(Imm(4), v, high)
	s.VPAND(mask, v, v)
	s.VPAND(mask, high, high)
	s.unsigned(block, j, h, v)
	s.VMOVDQU(high, at(s.tile, planeAt+block*s.each+64*j+32*h))
}

// nonlinear looks both planes up.
func (s *tileSink) nonlinear(block, j, h int, v vector) {
	if s.vnni {
		s.lookUp("nonlinear128", func(value int8) byte { return byte(value) + 128 }, v, v)
		s.unsigned(block, j, h, v)
		return
	}
	high := s.YMM()
	s.lookUp("nonlinearHigh", func(value int8) byte { return (byte(value) + 128) >> 4 }, v, high)
	s.lookUp("nonlinearLow", func(value int8) byte { return (byte(value) + 128) & 15 }, v, v)
	s.unsigned(block, j, h, v)
	s.VMOVDQU(high, at(s.tile, planeAt+block*s.each+64*j+32*h))
}

func (u *unpacker) generateTile() {
	isa, layout := u.isa(), "Plain"
	if u.packed {
		layout = "Packed"
	}
	u.each = tileBytes
	if !u.vnni && u.kind == "U8" {
		u.each = wideBytes
	}
	name := "unpack" + u.name + layout + isa
	u.Function(name)
	where := "16 plain rows, stride bytes apart"
	if u.packed {
		where = "16 packed rows (quant.PackGroup, unit 4); stride is not used"
	}
	u.Doc(
		fmt.Sprintf("%s unpacks blocks of %d columns of %s weights from w on into a tile for mulTile%s%s:", name, u.cols, u.doc, u.productOf(), isa),
		fmt.Sprintf("%s. blocks is at least 1; records of the tile have %d bytes. Nothing outside the blocks is read, no", where, u.each),
		"alignment is needed. Lanes are rows.")
	u.Pragma("noescape")
	u.SignatureExpr("func(tile, w *byte, stride, blocks int)")
	u.load()
	tile, blocks := u.param("tile"), u.param("blocks")
	u.scales = tile
	u.out = &tileSink{u, tile}
	u.Label("block")
	u.scale(u)
	u.unpack(u)
	u.advance()
	u.ADDQ(I32(int32(u.each*u.cols/32)), tile)
	u.DECQ(blocks)
	u.JNZ(LabelRef("block"))
	u.VZEROUPPER()
	u.RET()
}

func (u *unpacker) isa() string {
	if u.vnni {
		return "AVXVNNI"
	}
	return "AVX2"
}

// productOf is the product that multiplies the tiles.
func (u *unpacker) productOf() string {
	if u.vnni {
		return u.dp
	}
	return u.kind
}
