// Package stream moves weights through memory where not all of them may stay: what a pass of the model needs next is read from
// the mapped file ahead of it, what it has used is given back to the system at once. Weights are used where they are mapped, so a
// part that was not read in time is slow, never wrong.
//
// Pages are read by MADV_POPULATE_READ, in pieces (mapfile.File.Pieces), and given back by MADV_DONTNEED and POSIX_FADV_DONTNEED. The numbers that decided, and
// what was tried beside it, are in daemon/doc/decisions/0019-memory-budget.md.
package stream

import (
	"context"
	"sync"
	"time"

	"siskin/model/mapfile"
)

// Span is a part of a mapped file.
type Span struct {
	File     *mapfile.File
	Off, Len int64 // bytes
}

// Unit is what comes and goes together, such as the matrices of a layer.
type Unit struct {
	Load []Span // read ahead
	Drop []Span // given back; more than Load where a pass reads a part of it only, as of experts
}

// Bytes is what is read ahead.
func (u *Unit) Bytes() (n int64) {
	for _, s := range u.Load {
		n += s.Len
	}
	return n
}

type state uint8

const (
	absent state = iota
	loading
	present
)

// Reader keeps a window of units in memory. The passes use them in order, from the first to the last, again and again. All
// methods may be called from any goroutine, but those of a pass by one at a time.
type Reader struct {
	window int

	mu    sync.Mutex
	moved sync.Cond // the state of a unit, or at, has changed
	units []Unit
	keep  []Span // stays
	state []state
	at    int // unit that the pass uses, or will use next
	kept  int // the first units, which stay once they have been read, for now
	ended bool
}

// New makes a reader over units, of which window, the one in use included, may be in memory; at least 2. What keep names stays.
func New(units []Unit, keep []Span, window int) *Reader {
	r := &Reader{window: max(2, window)}
	r.moved.L = &r.mu
	r.Reset(units, keep)
	return r
}

// Reset replaces the units, which are given back first, so that a reader begins with nothing in memory. No pass may be under way.
func (r *Reader) Reset(units []Unit, keep []Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.state {
		for r.state[i] == loading {
			r.moved.Wait()
		}
	}
	r.units, r.state, r.at, r.kept = units, make([]state, len(units)), 0, 0
	r.keep = keep
	for i := range r.units {
		for _, s := range r.units[i].Drop {
			_ = s.File.Pieces(s.Off, s.Len) // about speed only
		}
		r.drop(i)
	}
	r.moved.Broadcast()
}

// Bytes is what a pass reads from the file.
func (r *Reader) Bytes() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.units {
		n += r.units[i].Bytes()
	}
	return n
}

// Time reads units one after another, at most so many bytes but one unit at least, gives them back, and returns how much that was
// and how long reading took by the clock now. No pass may be under way, nor Run.
func (r *Reader) Time(most int64, now func() time.Time) (bytes int64, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; i < len(r.units) && (i == 0 || bytes+r.units[i].Bytes() <= most); i++ {
		begun := now()
		r.load(i)
		took += now().Sub(begun)
		bytes += r.units[i].Bytes()
		r.state[i] = absent
		r.drop(i)
	}
	return bytes, took
}

// Need returns when unit i is in memory; it is then in use. Without Run it reads the unit itself.
func (r *Reader) Need(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = i
	r.moved.Broadcast()
	for r.state[i] == loading {
		r.moved.Wait()
	}
	if r.state[i] == absent {
		r.load(i)
	}
}

// Done gives unit i back; the next one in order is in use now.
func (r *Reader) Done(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i >= r.kept {
		r.state[i] = absent
		r.drop(i)
	}
	r.at = (i + 1) % len(r.units)
	r.moved.Broadcast()
}

// Keep lets the first units, as many as have so many bytes together, stay in memory for now: there is room that was set aside for
// other things and is not used. Units beyond are given back, but for the one in use and those read ahead.
func (r *Reader) Keep(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.kept
	for r.kept = 0; r.kept < len(r.units); r.kept++ {
		if bytes -= r.units[r.kept].Bytes(); bytes < 0 {
			break
		}
	}
	for i := r.kept; i < before; i++ {
		if r.state[i] == present && r.ahead(i) >= r.window {
			r.state[i] = absent
			r.drop(i)
		}
	}
}

// End says that the pass has ended, perhaps before the last unit: what the next one does not begin with is given back.
func (r *Reader) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = 0
	for i := range r.units {
		for r.state[i] == loading {
			r.moved.Wait()
		}
		if i >= r.kept && r.ahead(i) >= r.window && r.state[i] == present {
			r.state[i] = absent
			r.drop(i)
		}
	}
	r.moved.Broadcast()
}

// Run reads ahead until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = true
		r.moved.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.ended {
		if i := r.next(); i >= 0 {
			r.load(i)
		} else {
			r.moved.Wait()
		}
	}
}

// next is the first unit of the window that is not in memory, -1 if all are. Units that stay for now are not counted: those behind
// them are read while the pass is at what stays.
func (r *Reader) next() int {
	n, counted := len(r.units), 0
	for k := 0; k < n && counted < r.window; k++ {
		i := (r.at + k) % n
		if r.state[i] == absent {
			return i
		}
		if i >= r.kept {
			counted++
		}
	}
	return -1
}

// ahead is how many units the pass uses before unit i from where it is, not counting those that stay for now; i is none of them.
func (r *Reader) ahead(i int) int {
	n := len(r.units) - r.kept
	return (i - max(r.at, r.kept) + n) % n
}

// load reads unit i, with the lock given up meanwhile. A failure is left to the pass, which finds it when it uses the unit.
func (r *Reader) load(i int) {
	r.state[i] = loading
	unit := r.units[i]
	r.mu.Unlock()
	for _, s := range unit.Load {
		_ = s.File.Populate(s.Off, s.Len)
	}
	r.mu.Lock()
	r.state[i] = present
	r.moved.Broadcast()
}

// straddle is the largest piece that the page cache keeps and drops as one (a huge page of amd64 and arm64 with 4 KiB pages). Of
// what is dropped, a piece that reaches into what lies before in the file had to stay when that went, so the range begins so much
// earlier, but not where something stays. Without it the default model in 64 MiB filled its control group with such pieces.
const straddle = 2 << 20

// drop gives unit i back; where the system does not take it there is nothing to be done.
func (r *Reader) drop(i int) {
	for _, s := range r.units[i].Drop {
		from := r.behind(r.keep, s, max(0, s.Off-straddle))
		for j := range r.units {
			if j != i && r.state[j] != absent {
				from = r.behind(r.units[j].Load, s, from)
			}
		}
		_ = s.File.Drop(from, s.Off+s.Len-from)
	}
}

// behind moves the place from, before span s, behind what of spans lies between.
func (r *Reader) behind(spans []Span, s Span, from int64) int64 {
	for _, k := range spans {
		if k.File == s.File && k.Off < s.Off {
			from = max(from, min(s.Off, k.Off+k.Len))
		}
	}
	return from
}
