package quant

import (
	"errors"
	"fmt"
	"math"
)

// Type is a ggml tensor type id as it stands in a GGUF file.
type Type uint32

// The type ids of ggml. 4, 5, 31-33 and 36-38 were removed there and are not reused.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42

	// NumTypes is one more than the largest id: the length of a table indexed by Type.
	NumTypes = 43
)

// Errors of this package; test with errors.Is.
var (
	// ErrUnknownType: the id has no layout here, so not even the size of a tensor is known.
	ErrUnknownType = errors.New("unknown tensor type")
	// ErrUnsupported: the layout is known, the values cannot be computed.
	ErrUnsupported = errors.New("unsupported tensor type")
	// ErrShape: a length does not fit the format or another length.
	ErrShape = errors.New("length does not fit")
)

// layout is the size of one block: values and bytes.
type layout struct {
	name  string
	len   int
	bytes int
}

var layouts = [NumTypes]layout{
	F32:     {"F32", 1, 4},
	F16:     {"F16", 1, 2},
	Q4_0:    {"Q4_0", 32, 2 + 16},
	Q4_1:    {"Q4_1", 32, 2 + 2 + 16},
	Q5_0:    {"Q5_0", 32, 2 + 4 + 16},
	Q5_1:    {"Q5_1", 32, 2 + 2 + 4 + 16},
	Q8_0:    {"Q8_0", 32, 2 + 32},
	Q8_1:    {"Q8_1", 32, 2 + 2 + 32},
	Q2_K:    {"Q2_K", 256, 16 + 64 + 2 + 2},
	Q3_K:    {"Q3_K", 256, 32 + 64 + 12 + 2},
	Q4_K:    {"Q4_K", 256, 2 + 2 + 12 + 128},
	Q5_K:    {"Q5_K", 256, 2 + 2 + 12 + 32 + 128},
	Q6_K:    {"Q6_K", 256, 128 + 64 + 16 + 2},
	Q8_K:    {"Q8_K", 256, 4 + 256 + 2*16},
	IQ2_XXS: {"IQ2_XXS", 256, 2 + 2*32},
	IQ2_XS:  {"IQ2_XS", 256, 2 + 2*32 + 8},
	IQ3_XXS: {"IQ3_XXS", 256, 2 + 3*32},
	IQ1_S:   {"IQ1_S", 256, 2 + 32 + 2*8},
	IQ4_NL:  {"IQ4_NL", 32, 2 + 16},
	IQ3_S:   {"IQ3_S", 256, 2 + 64 + 8 + 32 + 4},
	IQ2_S:   {"IQ2_S", 256, 2 + 64 + 8 + 8},
	IQ4_XS:  {"IQ4_XS", 256, 2 + 2 + 4 + 128},
	I8:      {"I8", 1, 1},
	I16:     {"I16", 1, 2},
	I32:     {"I32", 1, 4},
	I64:     {"I64", 1, 8},
	F64:     {"F64", 1, 8},
	IQ1_M:   {"IQ1_M", 256, 32 + 16 + 8},
	BF16:    {"BF16", 1, 2},
	TQ1_0:   {"TQ1_0", 256, 48 + 4 + 2},
	TQ2_0:   {"TQ2_0", 256, 64 + 2},
	MXFP4:   {"MXFP4", 32, 1 + 16},
	NVFP4:   {"NVFP4", 64, 4 + 32},
	Q1_0:    {"Q1_0", 128, 2 + 16},
	Q2_0:    {"Q2_0", 64, 2 + 16},
}

func (t Type) layout() layout {
	if t < NumTypes {
		return layouts[t]
	}
	return layout{}
}

// String is ggml's name in capitals, or "type N" for an id without a layout.
func (t Type) String() string {
	if n := t.layout().name; n != "" {
		return n
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Known reports whether the block layout, hence the size, of the type is known.
func (t Type) Known() bool { return t.layout().len != 0 }

// BlockLen is the number of values in one block, 0 if the type is not known.
func (t Type) BlockLen() int { return t.layout().len }

// BlockBytes is the number of bytes in one block, 0 if the type is not known.
func (t Type) BlockBytes() int { return t.layout().bytes }

// RowBytes is the number of bytes of a row of cols values. Errors: ErrUnknownType; ErrShape if cols is negative, not a
// multiple of BlockLen, or the product does not fit an int.
func (t Type) RowBytes(cols int) (int, error) {
	l := t.layout()
	switch {
	case l.len == 0:
		return 0, fmt.Errorf("%s: %w", t, ErrUnknownType)
	case cols < 0 || cols%l.len != 0:
		return 0, fmt.Errorf("%s row of %d values: %w: must be a multiple of %d", t, cols, ErrShape, l.len)
	case cols/l.len > math.MaxInt/l.bytes:
		return 0, fmt.Errorf("%s row of %d values: %w: too large", t, cols, ErrShape)
	}
	return cols / l.len * l.bytes, nil
}

// IsFloat reports whether rows of the type are multiplied with float32 activations (F32, F16, BF16). Quantised types are
// multiplied with 8-bit activations.
func (t Type) IsFloat() bool { return t == F32 || t == F16 || t == BF16 }

// Supported reports whether Dequantize and a product (MatMulFloat or MatMulQ8) exist for the type.
func (t Type) Supported() bool { return t.IsFloat() || decoders[t.clamp()] != nil }

// clamp maps every id beyond the tables to one without a layout.
func (t Type) clamp() Type {
	if t < NumTypes {
		return t
	}
	return 4
}
