package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// File is a parsed packed file. It is read-only and safe for concurrent use.
type File struct {
	Packing quant.Packing
	Source  Source
	Tensors []Tensor // in the order of the file

	data   []byte
	byName map[string]int
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Parse checks header and directory of the packed file in data, which must be the whole file, usually a mapping: data must
// neither change nor be unmapped while the File is used. The weights are not read. Errors: ErrDamaged, or ErrStale for
// another version or layout.
func Parse(data []byte) (*File, error) {
	le := binary.LittleEndian
	if len(data) < headerLen || string(data[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with a header", ErrDamaged)
	}
	// Before the checksum, which another version may compute otherwise.
	if v := le.Uint32(data[8:]); v != Version {
		return nil, fmt.Errorf("%w: it has the version %d, not %d", ErrStale, v, Version)
	}
	start, length := le.Uint64(data[32:]), le.Uint64(data[40:])
	if length != uint64(len(data)) || start > length || start < headerLen {
		return nil, fmt.Errorf("%w: it has %d bytes and says %d", ErrDamaged, len(data), length)
	}
	if checksum(0, data[summedFrom:start]) != le.Uint32(data[12:]) {
		return nil, fmt.Errorf("%w: the checksum of its directory is wrong", ErrDamaged)
	}
	if v := le.Uint32(data[16:]); v != Layout {
		return nil, fmt.Errorf("%w: it has the layout %d, not %d", ErrStale, v, Layout)
	}
	f := &File{data: data, Packing: quant.Packing{Unit: int(le.Uint32(data[20:]))}}
	f.Source.Size, f.Source.ModTime = int64(le.Uint64(data[48:])), int64(le.Uint64(data[56:]))
	copy(f.Source.SHA256[:], data[64:])
	copy(f.Source.Stamp[:], data[96:])
	if err := f.directory(le.Uint32(data[24:]), start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	// What was read is the whole truth only if it gives these very bytes: what is unused is zero.
	if !bytes.Equal(encode(f.Packing, &f.Source, f.Tensors, int64(start), int64(length)), data[:start]) {
		return nil, fmt.Errorf("%w: its directory contradicts itself", ErrDamaged)
	}
	return f, nil
}

// directory reads n entries, which end before start.
func (f *File) directory(n uint32, start uint64) error {
	if u := f.Packing.Unit; u != 1 && u != 4 && u != 8 {
		return fmt.Errorf("the unit is %d bytes, not 1, 4 or 8", u)
	}
	if uint64(n) > (start-headerLen)/entryLen || n > gguf.MaxTensors {
		return fmt.Errorf("%d tensors cannot be in %d bytes", n, start)
	}
	f.Tensors, f.byName = make([]Tensor, n), make(map[string]int, n)
	for i := range f.Tensors {
		e := f.data[headerLen+i*entryLen:][:entryLen]
		number := func(at int) int64 { return int64(binary.LittleEndian.Uint64(e[at:])) }
		name, _, _ := bytes.Cut(e[:nameLen], []byte{0})
		t := Tensor{Name: string(name), Type: quant.Type(binary.LittleEndian.Uint32(e[64:])), crc: binary.LittleEndian.Uint32(e[68:])}
		t.Rows, t.Cols = int(number(72)), int(number(80))
		if int64(t.Rows) != number(72) || int64(t.Cols) != number(80) {
			return fmt.Errorf("tensor %q: the shape does not fit this machine", name)
		}
		if _, again := f.byName[t.Name]; again {
			return fmt.Errorf("tensor %q is there twice", name)
		}
		f.Tensors[i], f.byName[t.Name] = t, i
	}
	first, end, err := plan(f.Tensors)
	if err != nil {
		return err
	}
	if uint64(first) != start || end != int64(len(f.data)) {
		return fmt.Errorf("its %d tensors take %d bytes, not %d", n, end, len(f.data))
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		t.Data = f.data[t.offset:][:t.length:t.length]
	}
	return nil
}

// Length is the size of the file in bytes.
func (f *File) Length() int64 { return int64(len(f.data)) }

// Fits is nil if the file is of the model file source, interleaved as p; else ErrStale with the reason. Length and stamp of
// the model file must be the same; then either its time of modification is, or source.SHA256, which is zero where it is not
// known, is that of the file.
func (f *File) Fits(source *Source, p quant.Packing) error {
	switch {
	case f.Packing != p:
		return fmt.Errorf("%w: it has units of %d bytes, the kernels want %d", ErrStale, f.Packing.Unit, p.Unit)
	case f.Source.Size != source.Size || f.Source.Stamp != source.Stamp:
		return fmt.Errorf("%w: it was made of another model file", ErrStale)
	case f.Source.ModTime != source.ModTime && f.Source.SHA256 != source.SHA256:
		return fmt.Errorf("%w: the model file was written after it was packed", ErrStale)
	}
	return nil
}

// verifyPiece is how much Verify reads between two calls of step: a few milliseconds.
const verifyPiece = 4 << 20

// Verify checks the data of all tensors, padding included. It calls step, if that is not nil, between pieces with the bytes
// done so far and ends with step's error. Errors: ErrDamaged with the tensor; step's.
func (f *File) Verify(step func(done int64) error) error {
	for _, t := range f.Tensors {
		var crc uint32
		for off, end := t.offset, roundUp(t.offset+t.length); off < end; {
			n := min(verifyPiece, end-off)
			crc = checksum(crc, f.data[off:off+n])
			off += n
			if step == nil {
				continue
			}
			if err := step(off); err != nil {
				return err
			}
		}
		if crc != t.crc {
			return fmt.Errorf("%w: the checksum of the tensor %q is wrong", ErrDamaged, t.Name)
		}
	}
	return nil
}
