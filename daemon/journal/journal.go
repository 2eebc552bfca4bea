package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors; test with errors.Is.
var (
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("journal is closed")
	// ErrTooLong means that a record has more than MaxRecord bytes.
	ErrTooLong = errors.New("record is too long")
	// ErrGone means that a place is in no segment any more.
	ErrGone = errors.New("record is gone")
)

// Record is what was appended.
type Record struct {
	Kind   byte
	Number uint64
	Data   []byte
	Place  Place
}

// Place is where a record is; it holds until Compact removes its segment. The zero Place is nowhere.
type Place struct {
	segment uint64
	offset  int64
	bytes   int64 // that it takes in the segment
}

// Bytes is what the record takes.
func (p Place) Bytes() int64 { return p.bytes }

// Before reports whether Release(mark) removes the record.
func (p Place) Before(mark uint64) bool { return p.bytes > 0 && p.segment < mark }

// Options of a journal.
type Options struct {
	Folder Folder
	// SegmentBytes is the size of a segment, at least 4096; a longer record gets a longer one.
	SegmentBytes int64
	// Replay gets every record that is there, in the order of their numbers within a segment, segments by their first numbers. Its
	// error ends Open. The data belongs to it until it returns.
	Replay func(Record) error
	// Damaged is told of what could not be read; nil: nobody is.
	Damaged func(Damage)
	// Failed is told of an error of the storage that the journal survives by a new segment; nil: nobody is.
	Failed func(error)
}

// Journal is an open log. All methods may be called from any goroutine.
type Journal struct {
	o Options

	mu       sync.Mutex
	next     uint64          // number of the next record
	batch    []pendingRecord // appended and not yet written
	segments []segment
	closed   bool
	written  int64       // bytes, headers of segments included
	lazy     *time.Timer // that wakes the committer for records nobody waits for; nil: there are none
	voids    []span      // numbers of records that were given up, but may be on the disk
	salt     uint32
	failures uint64      // to make a segment
	unsure   atomic.Bool // a segment was removed, and it is not known to be gone for good

	wake    chan struct{} // capacity 1
	done    chan struct{} // closed when the committer has ended
	current File          // of the committer: nil before the first record, and after an error
	offset  int64         // in current
	size    int64         // of current
}

// segment is a file of the log. The last one may be written to.
type segment struct {
	first uint64
	salt  uint32
	used  int64 // bytes of records
}

func (s *segment) name() string { return segmentName(s.first, s.salt) }

// span is a range of numbers.
type span struct{ from, to uint64 }

func (s span) has(n uint64) bool { return s.from <= n && n < s.to }

// Kinds that have a meaning here; a caller's begin at 1.
const (
	// markKind begins a segment of its own and means nothing.
	markKind = 0
	// voidKind takes back records that were given up by an error: pairs of numbers, from and to.
	voidKind = 255
)

type pendingRecord struct {
	kind   byte
	number uint64
	data   []byte
	done   func(Place, error)
}

// Open reads what is there and prepares for more. It writes nothing before the first Append.
func Open(o Options) (*Journal, error) {
	if o.SegmentBytes < 4096 {
		return nil, fmt.Errorf("journal: segments of %d bytes: want at least 4096", o.SegmentBytes)
	}
	j := &Journal{o: o, next: 1, wake: make(chan struct{}, 1), done: make(chan struct{}), salt: rand.Uint32()}
	if err := j.list(); err != nil {
		return nil, err
	}
	// What was taken back is known only at the end, so everything is read twice: it is in memory the second time.
	var voids []span
	for i := range j.segments {
		s := &j.segments[i]
		if err := j.read(s, func(r found) error {
			j.next = max(j.next, r.number+1)
			s.used += recordSize(len(r.data))
			if r.kind == voidKind {
				for _, v := range spansOf(r.data) {
					voids, j.next = append(voids, v), max(j.next, v.to)
				}
			}
			return nil
		}, o.Damaged); err != nil {
			return nil, err
		}
		j.next = max(j.next, s.first+1) // its name is taken, even if it is empty
	}
	for i := range j.segments {
		s := &j.segments[i]
		if err := j.read(s, func(r found) error {
			if r.kind == markKind || r.kind == voidKind || slices.ContainsFunc(voids, func(v span) bool { return v.has(r.number) }) {
				return nil
			}
			return o.Replay(Record{Kind: r.kind, Number: r.number, Data: r.data, Place: Place{s.first, r.offset, recordSize(len(r.data))}})
		}, nil); err != nil {
			return nil, err
		}
	}
	go j.commit()
	return j, nil
}

// Scan reads a journal without opening it: every record, also one that was taken back, and what is damaged.
func Scan(folder Folder, visit func(Record) error, damaged func(Damage)) error {
	j := &Journal{o: Options{Folder: folder}}
	if err := j.list(); err != nil {
		return err
	}
	for i := range j.segments {
		s := &j.segments[i]
		if err := j.read(s, func(r found) error {
			return visit(Record{Kind: r.kind, Number: r.number, Data: r.data, Place: Place{s.first, r.offset, recordSize(len(r.data))}})
		}, damaged); err != nil {
			return err
		}
	}
	return nil
}

// list finds the segments.
func (j *Journal) list() error {
	names, err := j.o.Folder.List()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, name := range names {
		if first, salt, ok := parseName(name); ok {
			j.segments = append(j.segments, segment{first: first, salt: salt})
		}
	}
	slices.SortFunc(j.segments, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return nil
}

// read scans one segment.
func (j *Journal) read(s *segment, visit func(found) error, damaged func(Damage)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("journal: segment %s: %w", s.name(), err)
		}
	}()
	f, err := j.o.Folder.Open(s.name())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	return scan(f, size, s.salt, visit, func(offset, bytes int64) {
		if damaged != nil {
			damaged(Damage{Segment: s.name(), Offset: offset, Bytes: bytes})
		}
	})
}

// spansOf reads the data of a record of voidKind.
func spansOf(data []byte) (out []span) {
	for ; len(data) >= 16; data = data[16:] {
		out = append(out, span{binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])})
	}
	return out
}

// Append adds a record. done is called once, from another goroutine, in the order of the calls of Append: with the record's place
// when it is durable, or with an error when it is not. A record that failed is taken back in place and by the next one that succeeds;
// if the storage fails for good in the middle of a sync and after a crash has what it did not confirm, the record is there. done must
// not wait for the journal. The data must not be changed until then. A nil done is for records whose loss does no harm: they are
// written with the next ones, or soon.
func (j *Journal) Append(kind byte, data []byte, done func(Place, error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fail := func(err error) {
		if done != nil {
			go done(Place{}, err)
		}
	}
	switch {
	case j.closed:
		fail(ErrClosed)
		return
	case len(data) > MaxRecord:
		fail(fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLong, len(data), MaxRecord))
		return
	}
	j.batch = append(j.batch, pendingRecord{kind: kind, number: j.next, data: data, done: done})
	j.next++
	if done != nil {
		j.poke()
	} else if j.lazy == nil {
		j.lazy = time.AfterFunc(lazyDelay, func() {
			j.mu.Lock()
			defer j.mu.Unlock()
			if j.lazy = nil; !j.closed {
				j.poke()
			}
		})
	}
}

// lazyDelay is how long a record that nobody waits for may stay in memory: a sync a second at most is for them alone.
const lazyDelay = time.Second

// poke wakes the committer. j.mu is held, and j is not closed.
func (j *Journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Bytes returns what the records in all segments take, dead ones too, and how many segments there are.
func (j *Journal) Bytes() (records int64, segments int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		records += s.used
	}
	return records, len(j.segments)
}

// Written returns how many bytes have been handed to the storage since Open.
func (j *Journal) Written() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written
}

// Read returns the record at a place.
func (j *Journal) Read(p Place) (r Record, err error) {
	if p == (Place{}) {
		return r, ErrGone
	}
	j.mu.Lock()
	at := slices.IndexFunc(j.segments, func(s segment) bool { return s.first == p.segment })
	if at < 0 {
		j.mu.Unlock()
		return r, ErrGone
	}
	s := j.segments[at]
	j.mu.Unlock()
	f, err := j.o.Folder.Open(s.name())
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := window{r: f, size: p.offset + p.bytes, salt: s.salt}
	h, err := w.at(p.offset, recordHeader)
	if err != nil || len(h) < recordHeader {
		return r, errors.Join(ErrGone, err)
	}
	rec, ok, err := w.record(h, p.offset)
	if err != nil || !ok {
		return r, errors.Join(ErrGone, err)
	}
	return Record{Kind: rec.kind, Number: rec.number, Data: rec.data, Place: p}, nil
}

// Mark returns a mark behind all records that are durable or on their way. What is appended from now on goes into segments that
// Release(mark) leaves alone.
func (j *Journal) Mark() (mark uint64, err error) {
	reached := make(chan struct{})
	j.Append(markKind, nil, func(p Place, failed error) {
		mark, err = p.segment, failed
		close(reached)
	})
	<-reached
	return mark, err
}

// Release removes the segments before a mark, the oldest first: what is still wanted of them has been appended anew, and is durable.
// Each is gone for good before the next one goes: if a crash brought back an older one alone, its records would be believed without
// those that came later.
func (j *Journal) Release(mark uint64) error {
	for {
		if j.unsure.Load() {
			if err := j.o.Folder.Sync(); err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			j.unsure.Store(false)
		}
		j.mu.Lock()
		if len(j.segments) == 0 || j.segments[0].first >= mark {
			j.mu.Unlock()
			return nil
		}
		name := j.segments[0].name()
		j.mu.Unlock()
		j.unsure.Store(true)
		if err := j.o.Folder.Remove(name); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		j.mu.Lock()
		j.segments = j.segments[1:]
		j.mu.Unlock()
	}
}

// Close writes what was appended, and ends. What is appended later fails.
func (j *Journal) Close() error {
	j.mu.Lock()
	again := j.closed
	j.closed = true
	j.mu.Unlock()
	if !again {
		close(j.wake)
	}
	<-j.done
	if again || j.current == nil {
		return nil
	}
	return j.current.Close()
}
