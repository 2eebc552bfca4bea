package encode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"siskin/model/quant"
)

// Errors of this package; test with errors.Is.
var (
	// ErrFormat: there is no encoder for the format.
	ErrFormat = errors.New("no encoder for the format")
	// ErrValue: a weight is NaN, infinite, or too large for the format's binary16 numbers.
	ErrValue = errors.New("weight cannot be written")
)

// ValueError is a weight that cannot be written; its kind is ErrValue.
type ValueError struct {
	Index int // in the row
	Value float32
	Type  quant.Type
	Limit float32 // the largest magnitude that the format takes
}

// Error says what and how large.
func (e *ValueError) Error() string {
	return fmt.Sprintf("the weight %g cannot be written as %s, which holds magnitudes up to %g", e.Value, e.Type, e.Limit)
}

// Unwrap gives the kind.
func (e *ValueError) Unwrap() error { return ErrValue }

// MaxHalf is the largest binary16 number: what weights may be in all formats but F32 and BF16.
const MaxHalf = 65504

// encoders write one block of weights, x, to dst.
var encoders = [quant.NumTypes]func(dst []byte, x []float32){
	quant.F32:    encodeF32,
	quant.F16:    encodeF16,
	quant.BF16:   encodeBF16,
	quant.Q4_0:   encodeQ4_0,
	quant.Q4_1:   encodeQ4_1,
	quant.Q5_0:   encodeQ5_0,
	quant.Q5_1:   encodeQ5_1,
	quant.Q8_0:   encodeQ8_0,
	quant.IQ4_NL: encodeIQ4_NL,
	quant.IQ4_XS: encodeIQ4_XS,
	quant.Q2_K:   encodeQ2_K,
	quant.Q3_K:   encodeQ3_K,
	quant.Q4_K:   encodeQ4_K,
	quant.Q5_K:   encodeQ5_K,
	quant.Q6_K:   encodeQ6_K,
}

// Supported reports whether Row can write the format.
func Supported(t quant.Type) bool { return t < quant.NumTypes && encoders[t] != nil }

// Types lists the formats that Row can write, by their ids.
func Types() []quant.Type {
	var all []quant.Type
	for t := range quant.Type(quant.NumTypes) {
		if Supported(t) {
			all = append(all, t)
		}
	}
	return all
}

// Row encodes x, whole blocks of format t, to dst, RowBytes(len(x)) bytes. Errors: ErrFormat; quant.ErrShape; a
// *ValueError. dst is untouched then.
func Row(t quant.Type, dst []byte, x []float32) error {
	if !Supported(t) {
		return fmt.Errorf("%s: %w", t, ErrFormat)
	}
	need, err := t.RowBytes(len(x))
	if err != nil {
		return err
	}
	if len(dst) != need {
		return fmt.Errorf("%s row of %d values: %w: %d bytes given, %d needed", t, len(x), quant.ErrShape, len(dst), need)
	}
	limit := float32(MaxHalf)
	if t == quant.F32 || t == quant.BF16 {
		limit = math.MaxFloat32
	}
	for i, v := range x {
		// Written so that NaN fails too.
		if !(v >= -limit && v <= limit) {
			return &ValueError{i, v, t, limit}
		}
	}
	encode, size, cols := encoders[t], t.BlockBytes(), t.BlockLen()
	for ; len(x) > 0; x, dst = x[cols:], dst[size:] {
		encode(dst[:size], x[:cols])
	}
	return nil
}

func encodeF32(dst []byte, x []float32) { binary.LittleEndian.PutUint32(dst, math.Float32bits(x[0])) }

func encodeF16(dst []byte, x []float32) { binary.LittleEndian.PutUint16(dst, quant.F32ToF16(x[0])) }

func encodeBF16(dst []byte, x []float32) { binary.LittleEndian.PutUint16(dst, quant.F32ToBF16(x[0])) }

// putHalf stores f as binary16, see half, and returns what that is.
func putHalf(dst []byte, f float32) float32 {
	f = half(f)
	binary.LittleEndian.PutUint16(dst, quant.F32ToF16(f))
	return f
}

// half is f as binary16 has it. A search may look a little beyond the largest weight, so beyond binary16.
func half(f float32) float32 { return quant.F16ToF32(quant.F32ToF16(min(max(f, -MaxHalf), MaxHalf))) }
