// Package journaltest has a folder for journals that fails or dies at the operation that a test names, and forgets what was not
// synced, as a power cut does.
package journaltest

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"siskin/daemon/journal"
)

// Fault is what happens at an operation.
type Fault int

// The faults.
const (
	None     Fault = iota
	FailOnce       // this operation fails; a write writes half, a sync leaves nobody knowing what it has
	Full           // no file can be made from now on; what has its blocks can be written to
	Broken         // this one and all that write, from now on, fail
	Die            // the process is gone: this and all later operations do nothing
)

// Loss says what a power cut does to what was not synced.
type Loss int

// The losses.
const (
	Keep  Loss = iota // it is there after all
	Lose              // it is not
	Mixed             // every other sector, at random
)

// ErrDead is what operations return when the process is gone.
var ErrDead = errors.New("the process is dead")

// sector is what storage writes as a whole.
const sector = 512

// Folder is a journal.Folder in memory. Its methods may be called from any goroutine.
type Folder struct {
	mu    sync.Mutex
	files map[string]*file
	ops   int
	at    int
	fault Fault
	full  bool
	bad   bool
	dead  bool
}

type file struct {
	data, synced []byte // as programs see it; as it is after a power cut
	named        bool   // the name is durable
	removed      bool   // and the removal is not yet
}

// New makes an empty folder whose operation number at, from 1 on, has a fault.
func New(at int, fault Fault) *Folder {
	return &Folder{files: map[string]*file{}, at: at, fault: fault}
}

// Ops returns how many operations there were.
func (f *Folder) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Dead reports whether the process is gone.
func (f *Folder) Dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// Kill makes the process go at once.
func (f *Folder) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// After returns the folder as the next process finds it, with a fault of its own.
func (f *Folder) After(loss Loss, rng *rand.Rand, at int, fault Fault) *Folder {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
	out := New(at, fault)
	for name, x := range f.files {
		data := slices.Clone(x.data)
		there := !x.removed
		if loss == Lose || loss == Mixed && rng.IntN(2) == 0 {
			there = x.named
		}
		for i := 0; i < len(data); i += sector {
			if loss == Lose || loss == Mixed && rng.IntN(2) == 0 {
				end := min(i+sector, len(data))
				copy(data[i:end], x.synced[i:end])
			}
		}
		if there {
			out.files[name] = &file{data: data, synced: slices.Clone(data), named: true}
		}
	}
	return out
}

// Flip changes a byte of a file. It reports whether there is such a byte.
func (f *Folder) Flip(name string, offset int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.files[name]
	if x == nil || offset >= len(x.data) {
		return false
	}
	x.data[offset] ^= 0xff
	return true
}

// op counts an operation and says what happens to it. f.mu is held.
func (f *Folder) op(writes bool) error {
	if f.dead {
		return ErrDead
	}
	f.ops++
	if f.ops == f.at {
		switch f.fault {
		case FailOnce:
			return syscall.EIO
		case Full:
			f.full = true
		case Broken:
			f.bad = true
		case Die:
			f.dead = true
			return ErrDead
		case None:
		}
	}
	if f.bad && writes {
		return syscall.EIO
	}
	return nil
}

// Create is that of journal.Folder.
func (f *Folder) Create(name string, size int64) (journal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(true); err != nil {
		return nil, err
	}
	if f.full {
		return nil, syscall.ENOSPC
	}
	if x := f.files[name]; x != nil && !x.removed {
		return nil, fs.ErrExist
	}
	x := &file{data: make([]byte, size), synced: make([]byte, size)}
	f.files[name] = x
	return &handle{f, x}, nil
}

// Open is that of journal.Folder.
func (f *Folder) Open(name string) (journal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(false); err != nil {
		return nil, err
	}
	x := f.files[name]
	if x == nil || x.removed {
		return nil, fs.ErrNotExist
	}
	return &handle{f, x}, nil
}

// Remove is that of journal.Folder.
func (f *Folder) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(false); err != nil {
		return err
	}
	x := f.files[name]
	if x == nil || x.removed {
		return fs.ErrNotExist
	}
	x.removed = true
	return nil
}

// List is that of journal.Folder.
func (f *Folder) List() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(false); err != nil {
		return nil, err
	}
	var names []string
	for name, x := range f.files {
		if !x.removed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Sync is that of journal.Folder.
func (f *Folder) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(true); err != nil {
		return err
	}
	for name, x := range f.files {
		if x.removed {
			delete(f.files, name)
		}
		x.named = true
	}
	return nil
}

// handle is an open file.
type handle struct {
	folder *Folder
	file   *file
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if err := h.folder.op(false); err != nil {
		return 0, err
	}
	if off >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	dead := h.folder.dead
	err := h.folder.op(true)
	switch {
	case dead:
		return 0, err
	case err != nil:
		p = p[:len(p)/2] // it was at it
	}
	return copy(h.file.data[off:], p), err
}

func (h *handle) Sync() error {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if err := h.folder.op(true); err != nil {
		return err
	}
	copy(h.file.synced, h.file.data)
	return nil
}

func (h *handle) Size() (int64, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if err := h.folder.op(false); err != nil {
		return 0, err
	}
	return int64(len(h.file.data)), nil
}

func (h *handle) Close() error { return nil }
