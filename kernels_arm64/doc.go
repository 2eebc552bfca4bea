// Package kernels holds the hand-made arithmetic for arm64: plain NEON for every ARMv8.0 core (Cortex-A53, A72) and int8
// products with SDOT for cores with the dot-product extension (Cortex-A55, A76 and later).
//
// The Go functions check lengths and panic if one does not fit, as the reference does; the assembly gets pointers. No
// function allocates, keeps a slice, needs alignment or touches a byte outside its slices. Assembly cannot be preempted, so
// wrappers cut the work into calls that are estimated at less than 250 us each.
//
// The element of a product for (row r, activation row t) has the same bits however many rows and activation rows are
// computed with it, packed or not. The int8 products and the quantisation give the same bits as the scalar reference,
// but that every fused multiply-add is rounded once; the float kernels state their tolerance.
//
// Int8 products work on groups of 16 rows, packed as quant.PackGroup does with units of four bytes, so that a vector is
// four columns of four rows whatever the format. Tight rows are gathered into that form, 256 columns at a time. With one
// activation row the unpacked weights go from registers into the product (direct_*.s); with more they go through a tile
// (unpack, tile_*.s). That assembly is written by the generator in _asm, which explains the layouts.
//
// Instructions that Go's assembler lacks are WORD macros in neon_arm64.h; their encodings come from the Arm Architecture
// Reference Manual for A-profile (DDI 0487), chapter C7, and a test compares each with a disassembler.
//
// On other architectures and with the tag purego the package is empty.
package kernels
