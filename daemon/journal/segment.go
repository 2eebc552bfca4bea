package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// The form of a segment, little-endian. Its name is the number of the first record that may be in it, and a salt, both in
// hexadecimal: data that looks like a record, in a record that is damaged, does not become one without the salt. It begins with
//
//	8 bytes  "siskinJ1"
//	8 bytes  the first number again
//	4 bytes  reserved, 0
//	4 bytes  CRC-32C of the salt and the bytes before
//
// and a record, which begins at a multiple of 8, is
//
//	4 bytes  "SJR1"
//	4 bytes  CRC-32C of the salt and everything behind, up to the end of the data
//	4 bytes  length of the data
//	1 byte   kind, for the caller
//	3 bytes  reserved, 0
//	8 bytes  number
//	         data, and zeros up to a multiple of 8
const (
	segmentMagic  = "siskinJ1"
	segmentHeader = 24
	recordMagic   = "SJR1"
	recordHeader  = 24
	alignment     = 8
	segmentSuffix = ".seg"
)

// MaxRecord is the longest data of a record: twice the longest prompt of the configuration, escaped, and what is around it.
const MaxRecord = 36 << 20

// checksum is a CRC-32C, for which CPUs have instructions.
func checksum(salt uint32, data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, binary.LittleEndian.AppendUint32(nil, salt)), table, data)
}

// recordSize is what a record of so much data takes in a segment.
func recordSize(data int) int64 {
	return (int64(recordHeader+data) + alignment - 1) / alignment * alignment
}

// appendRecord appends a record to dst.
func appendRecord(dst []byte, salt uint32, kind byte, number uint64, data []byte) []byte {
	start := len(dst)
	dst = append(dst, recordMagic...)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data)))
	dst = append(dst, kind, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, number)
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(salt, dst[start+8:]))
	for (len(dst)-start)%alignment != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// headerOf is the start of a segment.
func headerOf(first uint64, salt uint32) []byte {
	h := binary.LittleEndian.AppendUint64([]byte(segmentMagic), first)
	h = binary.LittleEndian.AppendUint32(h, 0)
	return binary.LittleEndian.AppendUint32(h, checksum(salt, h))
}

// segmentName and parseName translate between a segment and its file.
func segmentName(first uint64, salt uint32) string {
	return fmt.Sprintf("%016x-%08x%s", first, salt, segmentSuffix)
}

func parseName(name string) (first uint64, salt uint32, ok bool) {
	digits, isSegment := strings.CutSuffix(name, segmentSuffix)
	number, mark, parts := strings.Cut(digits, "-")
	if !isSegment || !parts {
		return 0, 0, false
	}
	first, err := strconv.ParseUint(number, 16, 64)
	s, saltErr := strconv.ParseUint(mark, 16, 32)
	return first, uint32(s), err == nil && saltErr == nil && segmentName(first, uint32(s)) == name
}

// found is a record of a segment, with its place.
type found struct {
	kind   byte
	number uint64
	data   []byte
	offset int64
}

// Damage is a stretch of a segment that is no record and not empty either.
type Damage struct {
	Segment string
	Offset  int64
	Bytes   int64
}

// scan calls visit for every record of a segment of size bytes, in order, and damage for what lies between. The data belongs to
// visit until it returns. Only errors of r and visit end it.
func scan(r io.ReaderAt, size int64, salt uint32, visit func(found) error, damage func(offset, bytes int64)) error {
	w := window{r: r, size: size, salt: salt}
	bad := int64(-1) // where damage begins
	at := int64(0)
	if h, err := w.at(0, segmentHeader); err != nil {
		return err
	} else if len(h) == segmentHeader && string(h[:8]) == segmentMagic && binary.LittleEndian.Uint32(h[20:]) == checksum(salt, h[:20]) {
		at = segmentHeader
	}
	flush := func() {
		if bad >= 0 {
			damage(bad, at-bad)
			bad = -1
		}
	}
	for at+recordHeader <= size {
		h, err := w.at(at, recordHeader)
		if err != nil {
			return err
		}
		rec, ok, err := w.record(h, at)
		if err != nil {
			return err
		}
		if ok {
			flush()
			if err := visit(rec); err != nil {
				return err
			}
			at += recordSize(len(rec.data))
			continue
		}
		if bad < 0 && !zero(h[:alignment]) {
			bad = at
		} else if bad >= 0 && zero(h) {
			flush()
		}
		at += alignment
	}
	if bad >= 0 {
		at = size
		flush()
	}
	return nil
}

// record reads the record at an offset, whose header is h; ok is false if there is none.
func (w *window) record(h []byte, at int64) (rec found, ok bool, err error) {
	if string(h[:4]) != recordMagic {
		return rec, false, nil
	}
	n := int64(binary.LittleEndian.Uint32(h[8:]))
	if n > MaxRecord || at+recordHeader+n > w.size {
		return rec, false, nil
	}
	whole, err := w.at(at, recordHeader+n)
	if err != nil || binary.LittleEndian.Uint32(whole[4:]) != checksum(w.salt, whole[8:]) {
		return rec, false, err
	}
	return found{kind: whole[12], number: binary.LittleEndian.Uint64(whole[16:]), data: whole[recordHeader:], offset: at}, true, nil
}

// window reads a file in pieces.
type window struct {
	r     io.ReaderAt
	size  int64
	salt  uint32
	start int64
	data  []byte
}

// windowBytes is what one read fetches: most records are shorter.
const windowBytes = 64 << 10

// at returns n bytes from an offset on, fewer at the end of the file. They are good until the next call.
func (w *window) at(offset, n int64) ([]byte, error) {
	n = min(n, w.size-offset)
	if offset < w.start || offset+n > w.start+int64(len(w.data)) {
		want := min(max(n, windowBytes), w.size-offset)
		if int64(cap(w.data)) < want {
			w.data = make([]byte, want)
		}
		w.data = w.data[:want]
		w.start = offset
		if k, err := w.r.ReadAt(w.data, offset); int64(k) < want {
			w.data = w.data[:0]
			return nil, fmt.Errorf("read at %d: %w", offset, err)
		}
	}
	return w.data[offset-w.start:][:n], nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
