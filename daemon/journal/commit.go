package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// commit writes batches until Close.
func (j *Journal) commit() {
	defer close(j.done)
	for open := true; open; {
		_, open = <-j.wake
		for j.writeBatch() {
		}
	}
}

// writeBatch makes what is appended durable, and says so. It returns false if there was nothing.
func (j *Journal) writeBatch() bool {
	j.mu.Lock()
	records := j.batch
	j.batch = nil
	j.mu.Unlock()
	if len(records) == 0 {
		return false
	}
	places := make([]Place, len(records))
	for from := 0; from < len(records); {
		to, err := j.writeSome(records[from:], places[from:])
		to += from
		if err != nil {
			j.voids = append(j.voids, span{records[from].number, records[to-1].number + 1})
		}
		for i := from; i < to; i++ {
			if done := records[i].done; done != nil {
				done(places[i], err)
			}
		}
		from = to
	}
	return true
}

// writeSome writes as many of the records as go into one segment and syncs them, in a second segment if the first fails. It
// returns how many they were.
func (j *Journal) writeSome(records []pendingRecord, places []Place) (n int, err error) {
	var failure error
	var unsure []stretch // of segments that failed
	for range 2 {
		need := recordSize(len(records[0].data)) + recordSize(16*len(j.voids))
		if j.current == nil || j.offset+need > j.size || records[0].kind == markKind {
			if err := j.rotate(records[0].number, need); err != nil {
				failure = errors.Join(failure, err)
				continue
			}
		}
		out := j.takeBack()
		for n = 0; n < len(records); n++ {
			r := &records[n]
			size := recordSize(len(r.data))
			if j.offset+int64(len(out))+size > j.size || n > 0 && r.kind == markKind {
				break
			}
			places[n] = Place{segment: j.last(), offset: j.offset + int64(len(out)), bytes: size}
			out = appendRecord(out, j.salt, r.kind, r.number, r.data)
		}
		if err := j.writeAt(out); err != nil {
			failure = errors.Join(failure, err)
			unsure = append(unsure, stretch{j.current, j.offset, len(out)})
			j.current = nil
			continue
		}
		j.voids = nil
		for _, s := range unsure {
			_ = s.file.Close() // what it has is elsewhere now
		}
		if failure != nil && j.o.Failed != nil {
			j.o.Failed(failure)
		}
		return n, nil
	}
	for _, s := range unsure {
		s.erase()
	}
	return max(n, 1), fmt.Errorf("journal: %w", failure)
}

// stretch is where records may or may not be.
type stretch struct {
	file   File
	offset int64
	bytes  int
}

// erase makes it likelier that records are not there that were given up.
func (s stretch) erase() {
	if _, err := s.file.WriteAt(make([]byte, s.bytes), s.offset); err == nil {
		_ = s.file.Sync()
	}
	_ = s.file.Close()
}

// takeBack is the record that takes back what was given up, if there is room for it.
func (j *Journal) takeBack() []byte {
	if len(j.voids) == 0 {
		return nil
	}
	var data []byte
	for _, v := range j.voids {
		data = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(data, v.from), v.to)
	}
	return appendRecord(nil, j.salt, voidKind, j.voids[0].from, data)
}

// last is the number of the segment that is written to.
func (j *Journal) last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[len(j.segments)-1].first
}

// writeAt writes to the end of the current segment and syncs it.
func (j *Journal) writeAt(out []byte) error {
	if n, err := j.current.WriteAt(out, j.offset); err != nil || n < len(out) {
		return fmt.Errorf("write: %w", errors.Join(err, short(n, len(out))))
	}
	if err := j.current.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	j.offset += int64(len(out))
	j.mu.Lock()
	j.segments[len(j.segments)-1].used += int64(len(out))
	j.written += int64(len(out))
	j.mu.Unlock()
	return nil
}

func short(n, want int) error {
	if n < want {
		return io.ErrShortWrite
	}
	return nil
}

// rotate begins a segment for a record of that number and size.
func (j *Journal) rotate(first uint64, need int64) error {
	j.mu.Lock()
	if n := len(j.segments); n > 0 && j.segments[n-1].first >= first { // a segment that failed before it had a record
		first = j.segments[n-1].first + 1
	}
	j.mu.Unlock()
	first += j.failures // the name of one that failed may still be there
	size := max(j.o.SegmentBytes, segmentHeader+need)
	name := segmentName(first, j.salt)
	f, err := j.o.Folder.Create(name, size)
	if err != nil {
		j.failures++
		return fmt.Errorf("new segment: %w", err)
	}
	h := headerOf(first, j.salt)
	if _, err = f.WriteAt(h, 0); err == nil {
		if err = f.Sync(); err == nil {
			err = j.o.Folder.Sync()
		}
	}
	if err != nil {
		j.failures++
		return fmt.Errorf("new segment: %w", errors.Join(err, f.Close(), j.o.Folder.Remove(name)))
	}
	j.abandon()
	j.failures = 0
	j.current, j.offset, j.size = f, segmentHeader, size
	j.mu.Lock()
	j.segments = append(j.segments, segment{first: first, salt: j.salt})
	j.written += segmentHeader
	j.mu.Unlock()
	return nil
}

// abandon closes the current segment for good.
func (j *Journal) abandon() {
	if j.current != nil {
		_ = j.current.Close() // what was written is synced, or given up
		j.current = nil
	}
}
