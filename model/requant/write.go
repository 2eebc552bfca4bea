package requant

import (
	"bytes"
	"encoding/binary"
	"strings"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// fileTypes are the numbers of general.file_type (llama.h, llama_ftype) of files whose matrices are of one format.
var fileTypes = map[quant.Type]uint32{
	quant.F32: 0, quant.F16: 1, quant.Q4_0: 2, quant.Q4_1: 3, quant.Q8_0: 7, quant.Q5_0: 8, quant.Q5_1: 9, quant.Q2_K: 10,
	quant.Q3_K: 11, quant.Q4_K: 14, quant.Q5_K: 16, quant.Q6_K: 18, quant.IQ4_NL: 25, quant.IQ4_XS: 30, quant.BF16: 32,
}

// quantizationVersion is that of the block layouts (ggml.h, GGML_QNT_VERSION).
const quantizationVersion = 2

// formatKeys are the metadata entries that say how the weights are kept.
const (
	fileTypeKey = "general.file_type"
	versionKey  = "general.quantization_version"
)

// header encodes everything in front of the tensors' data: version 3, the metadata of f with the keys of the new format, and
// the directory. It ends where the data begins.
func header(f *gguf.File, t quant.Type, plan []Tensor) []byte {
	var b bytes.Buffer
	count := 2
	entry := func(key string, value []byte) {
		putString(&b, key)
		b.Write(value)
	}
	carried := func(key string) bool {
		// How another file was made, and which part of one this was.
		return key != fileTypeKey && key != versionKey && !strings.HasPrefix(key, "quantize.") && !strings.HasPrefix(key, "split.")
	}
	for key := range f.Raw() {
		if carried(key) {
			count++
		}
	}
	b.WriteString("GGUF")
	put(&b, uint32(3))
	put(&b, uint64(len(plan)))
	put(&b, uint64(count))
	for key, value := range f.Raw() {
		if carried(key) {
			entry(key, value)
		}
	}
	entry(fileTypeKey, uint32Value(fileTypes[t]))
	entry(versionKey, uint32Value(quantizationVersion))
	offset := int64(0)
	for i := range plan {
		p := &plan[i]
		putString(&b, p.Name)
		put(&b, uint32(len(p.Dims)))
		for _, d := range p.Dims {
			put(&b, uint64(d))
		}
		put(&b, uint32(p.To))
		put(&b, uint64(offset))
		offset += align(p.Bytes, f.Alignment)
	}
	b.Write(make([]byte, align(int64(b.Len()), f.Alignment)-int64(b.Len())))
	return b.Bytes()
}

// align rounds n up to whole units.
func align(n int64, unit int) int64 { return (n + int64(unit) - 1) / int64(unit) * int64(unit) }

func put[T uint32 | uint64](b *bytes.Buffer, v T) {
	// A buffer takes everything, and T has a size.
	_ = binary.Write(b, binary.LittleEndian, v)
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

// uint32Value is kind and value of an entry.
func uint32Value(v uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(gguf.KindUint32)), v)
}
