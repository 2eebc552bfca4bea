package quant_test

import (
	"errors"
	"math"
	"testing"

	"siskin/model/quant"
)

// sizes are bits per value in sixteenths, from the table of types in llama.cpp's documentation, as a check that is
// independent of how the layouts are written down.
var sizes = map[quant.Type]struct {
	name string
	bpw  float64
}{
	0: {"F32", 32}, 1: {"F16", 16}, 2: {"Q4_0", 4.5}, 3: {"Q4_1", 5}, 6: {"Q5_0", 5.5}, 7: {"Q5_1", 6}, 8: {"Q8_0", 8.5},
	9: {"Q8_1", 9}, 10: {"Q2_K", 2.625}, 11: {"Q3_K", 3.4375}, 12: {"Q4_K", 4.5}, 13: {"Q5_K", 5.5}, 14: {"Q6_K", 6.5625},
	15: {"Q8_K", 9.125}, 16: {"IQ2_XXS", 2.0625}, 17: {"IQ2_XS", 2.3125}, 18: {"IQ3_XXS", 3.0625}, 19: {"IQ1_S", 1.5625},
	20: {"IQ4_NL", 4.5}, 21: {"IQ3_S", 3.4375}, 22: {"IQ2_S", 2.5625}, 23: {"IQ4_XS", 4.25}, 24: {"I8", 8}, 25: {"I16", 16},
	26: {"I32", 32}, 27: {"I64", 64}, 28: {"F64", 64}, 29: {"IQ1_M", 1.75}, 30: {"BF16", 16}, 34: {"TQ1_0", 1.6875},
	35: {"TQ2_0", 2.0625}, 39: {"MXFP4", 4.25}, 40: {"NVFP4", 4.5}, 41: {"Q1_0", 1.125}, 42: {"Q2_0", 2.25},
}

func TestTypes(t *testing.T) {
	for id := range quant.Type(60) {
		want, known := sizes[id]
		if id.Known() != known {
			t.Errorf("type %d: known %v, want %v", id, id.Known(), known)
		}
		if !known {
			if _, err := id.RowBytes(256); !errors.Is(err, quant.ErrUnknownType) {
				t.Errorf("type %d: row size error %v", id, err)
			}
			if id.Supported() || id.IsFloat() || id.BlockLen() != 0 || id.BlockBytes() != 0 {
				t.Errorf("type %d has properties", id)
			}
			continue
		}
		if id.String() != want.name {
			t.Errorf("type %d is %q, want %q", id, id, want.name)
		}
		if n, err := id.RowBytes(512); err != nil || float64(n)*8/512 != want.bpw {
			t.Errorf("%s: 512 values take %d bytes (%v), want %v bits each", id, n, err, want.bpw)
		}
	}
	if s := quant.Type(4).String(); s != "type 4" {
		t.Errorf("removed type reads %q", s)
	}
	if last := quant.Type(math.MaxUint32); last.Known() || last.Supported() || last.String() != "type 4294967295" {
		t.Errorf("largest id: %v", last)
	}
}

func TestRowBytesRefuses(t *testing.T) {
	for _, c := range []struct {
		typ  quant.Type
		cols int
	}{
		{quant.Q4_1, 31},
		{quant.Q4_1, 33},
		{quant.Q4_K, 128},
		{quant.F32, -1},
		{quant.Q8_0, -32},
		{quant.F32, math.MaxInt},
		{quant.F64, math.MaxInt/8 + 1},
		{quant.Q8_0, math.MaxInt &^ 31},
	} {
		if n, err := c.typ.RowBytes(c.cols); !errors.Is(err, quant.ErrShape) {
			t.Errorf("%s row of %d: %d bytes, error %v", c.typ, c.cols, n, err)
		}
	}
	if n, err := quant.Q4_K.RowBytes(0); n != 0 || err != nil {
		t.Errorf("empty row: %d, %v", n, err)
	}
}

func TestDequantizeRefuses(t *testing.T) {
	dst := []float32{7: 1, 31: 2}
	for _, c := range []struct {
		typ  quant.Type
		n    int
		src  int
		want error
	}{
		{quant.Q4_1, 32, 19, quant.ErrShape},
		{quant.Q4_1, 32, 21, quant.ErrShape},
		{quant.Q4_1, 16, 10, quant.ErrShape},
		{quant.F32, 1, 3, quant.ErrShape},
		{quant.Q8_1, 32, 36, quant.ErrUnsupported},
		{5, 32, 20, quant.ErrUnknownType},
		{1000, 32, 20, quant.ErrUnknownType},
	} {
		if err := quant.Dequantize(c.typ, dst[:c.n], make([]byte, c.src)); !errors.Is(err, c.want) {
			t.Errorf("%s, %d values, %d bytes: %v, want %v", c.typ, c.n, c.src, err, c.want)
		}
	}
	if dst[31] != 2 {
		t.Error("a refused call wrote to its destination")
	}
}
