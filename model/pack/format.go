package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// Version of the file format and of the interleaving. Layout must be raised when quant.PackGroup puts a byte elsewhere.
const (
	Version = 1
	Layout  = 1
)

// Sizes of the format in bytes; see the package comment.
const (
	magic      = "siskpack"
	headerLen  = 128
	entryLen   = 112
	nameLen    = 64
	summedFrom = 16   // the header's checksum covers what follows
	page       = 4096 // the page of x86, and the smallest of arm64
)

// Errors of this package; test with errors.Is.
var (
	// ErrDamaged: the file is not a packed file, or not what was written.
	ErrDamaged = errors.New("packed file is damaged")
	// ErrStale: the file is sound, but of another model file, another version or another interleaving.
	ErrStale = errors.New("packed file does not fit")
	// ErrBusy: another process is making the same file.
	ErrBusy = errors.New("already being packed")
	// ErrChanged: the model file changed while it was packed.
	ErrChanged = errors.New("model file changed")
)

// Source identifies a model file.
type Source struct {
	Size    int64
	ModTime int64 // nanoseconds since 1970
	SHA256  [sha256.Size]byte
	Stamp   [sha256.Size]byte
}

// Tensor is one matrix of a packed file.
type Tensor struct {
	Name        string
	Type        quant.Type // packable
	Rows, Cols  int
	Interleaved int    // rows in whole groups of quant.PackRows, at the front of Data
	Data        []byte // (Rows, RowBytes(Cols))

	offset, length int64
	crc            uint32
}

// checksums of the format are CRC-32C, which x86-64 and arm64 compute in hardware.
func checksum(crc uint32, data []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), data)
}

// Name is the file name of the packed file of a model: beside the model it is found by it.
func Name(model string, p quant.Packing) string {
	return fmt.Sprintf("%s.packed-%d-%d", model, p.Unit, Layout)
}

// Samples of Stamp: enough to meet another model of the same shape somewhere, few enough to be read at every start.
const (
	sampleLen = 4096
	samples   = 16 // with the first and the last bytes of the file
)

// Stamp identifies the contents of a model file of size bytes without reading all of it: it is the SHA-256 of the size and
// of 16 samples of 4096 bytes at equal distances. A change that misses the samples is not seen. Errors: those of r;
// ErrChanged if it is shorter.
func Stamp(r io.ReaderAt, size int64) (stamp [sha256.Size]byte, err error) {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(size)))
	buf := make([]byte, sampleLen)
	for i := range int64(samples) {
		off := max(0, size-sampleLen) / (samples - 1) * i
		if i == samples-1 {
			off = max(0, size-sampleLen)
		}
		n := min(sampleLen, size-off)
		if err := readFull(r, buf[:n], off); err != nil {
			return stamp, fmt.Errorf("model file: %w", err)
		}
		h.Write(buf[:n])
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// plan fills in offsets and lengths of tensors and returns the offset of the first one and the length of the file. Errors:
// a shape that cannot be packed, or does not fit an int.
func plan(tensors []Tensor) (start, end int64, err error) {
	start = roundUp(headerLen + entryLen*int64(len(tensors)))
	end = start
	for i := range tensors {
		t := &tensors[i]
		if t.Name == "" || len(t.Name) > gguf.MaxNameLen {
			return 0, 0, fmt.Errorf("tensor %.80q: a name has 1 to %d bytes", t.Name, gguf.MaxNameLen)
		}
		if !t.Type.Packable() || t.Rows < quant.PackRows || t.Cols < 1 {
			return 0, 0, fmt.Errorf("tensor %q: %d rows of %d columns of %v cannot be interleaved", t.Name, t.Rows, t.Cols, t.Type)
		}
		rowBytes, err := t.Type.RowBytes(t.Cols)
		if err != nil {
			return 0, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		// Half of the range keeps the sums and the rounding below from wrapping.
		if int64(t.Rows) > (maxLength-end)/int64(rowBytes) {
			return 0, 0, fmt.Errorf("tensor %q: %d rows of %d bytes are too large", t.Name, t.Rows, rowBytes)
		}
		t.Interleaved = t.Rows / quant.PackRows * quant.PackRows
		t.offset, t.length = end, int64(t.Rows)*int64(rowBytes)
		end = roundUp(end + t.length)
	}
	return start, end, nil
}

// maxLength bounds a packed file.
const maxLength = 1 << 62

func roundUp(n int64) int64 { return (n + page - 1) &^ (page - 1) }

// encode gives the bytes before the first tensor. plan has been called, and the checksums of the tensors are there.
func encode(p quant.Packing, source *Source, tensors []Tensor, start, end int64) []byte {
	b := make([]byte, start)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint32(b[8:], Version)
	le.PutUint32(b[16:], Layout)
	le.PutUint32(b[20:], uint32(p.Unit))
	le.PutUint32(b[24:], uint32(len(tensors)))
	le.PutUint64(b[32:], uint64(start))
	le.PutUint64(b[40:], uint64(end))
	le.PutUint64(b[48:], uint64(source.Size))
	le.PutUint64(b[56:], uint64(source.ModTime))
	copy(b[64:], source.SHA256[:])
	copy(b[96:], source.Stamp[:])
	for i, t := range tensors {
		e := b[headerLen+i*entryLen:]
		copy(e[:nameLen], t.Name)
		le.PutUint32(e[64:], uint32(t.Type))
		le.PutUint32(e[68:], t.crc)
		for j, v := range []int64{int64(t.Rows), int64(t.Cols), t.offset, t.length, int64(t.Interleaved)} {
			le.PutUint64(e[72+8*j:], uint64(v))
		}
	}
	le.PutUint32(b[12:], checksum(0, b[summedFrom:]))
	return b
}
