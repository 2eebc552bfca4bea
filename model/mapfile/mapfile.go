// Package mapfile maps a model file into memory, read-only, so that weights are used where they lie on disk and the kernel
// can drop and re-read their pages at will. It is the only package that maps files. For those who write such files it has
// what the system offers beyond package os: a lock, and leaving the page cache alone.
//
// A mapping is only as good as its file: where a file is cut while it is mapped, reading the lost part kills the process
// (SIGBUS). So model files are replaced by renaming a new one over them, never written in place; Changed finds out.
package mapfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/edsrzf/mmap-go"
)

// Errors of this package; test with errors.Is. A missing file is fs.ErrNotExist, a forbidden one fs.ErrPermission.
var (
	// ErrNotRegular: the path is a folder, a device or a pipe.
	ErrNotRegular = errors.New("not a regular file")
	// ErrEmpty: the file has no bytes, which cannot be mapped.
	ErrEmpty = errors.New("empty file")
	// ErrTooLarge: the file does not fit the address space of this machine.
	ErrTooLarge = errors.New("file too large")
	// ErrChanged: the file at the path is not what was mapped any more.
	ErrChanged = errors.New("file changed")
	// ErrClosed: the mapping is closed.
	ErrClosed = errors.New("mapping closed")
)

// Error is a failure with one file: a sentence for a person, and its kind for errors.Is.
type Error struct {
	Path string
	What string // continues the path to a sentence
	Err  error  // one of the sentinels, or what the system said
}

// Error is "path what".
func (e *Error) Error() string { return e.Path + " " + e.What }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Err }

// File is a mapped file. Its methods are safe for concurrent use, but whoever calls Close must know that nobody reads Bytes
// any more.
type File struct {
	path string
	info fs.FileInfo // at the time of mapping

	mu   sync.RWMutex // written to by Close only
	data mmap.MMap    // nil when closed
	file *os.File     // for Drop; nil when closed
}

// Open maps a regular, non-empty file read-only. Every failure is an *Error.
func Open(path string) (*File, error) {
	// Looked at before it is opened: opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := checkInfo(path, info); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	mapped, err := open(path, f)
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return mapped, nil
}

// open maps f, which it keeps on success.
func open(path string, f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, openError(path, err)
	}
	if err := checkInfo(path, info); err != nil {
		return nil, err
	}
	data, err := mmap.MapRegion(f, int(info.Size()), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, &Error{path, fmt.Sprintf("cannot be mapped (%v): check the limits on address space and the file system", err), err}
	}
	return &File{path: path, info: info, data: data, file: f}, nil
}

// checkInfo refuses what cannot be mapped.
func checkInfo(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return &Error{path, "is a folder: name the file in it", ErrNotRegular}
	case !info.Mode().IsRegular():
		return &Error{path, "is a device or a pipe, not a file that can be mapped", ErrNotRegular}
	case info.Size() == 0:
		return &Error{path, "is empty: its download or copy did not finish, get it again", ErrEmpty}
	case info.Size() > math.MaxInt:
		return &Error{path, fmt.Sprintf("has %d bytes, too many for a 32-bit system: take a smaller model", info.Size()), ErrTooLarge}
	}
	return nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{path, "does not exist: check the path", err}
	case errors.Is(err, fs.ErrPermission):
		return &Error{path, "may not be read: give this user read permission on it and on the folders above", err}
	}
	// The system's text repeats call and path; the cause is enough.
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &Error{path, fmt.Sprintf("cannot be opened: %v", err), err}
}

// Bytes is the whole file; nil after Close. Writing to it is a fault of the machine. The pages come from disk on first use.
func (f *File) Bytes() []byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.data
}

// Contains reports whether addr lies in the mapping.
func (f *File) Contains(addr uintptr) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	start := reflect.ValueOf([]byte(f.data)).Pointer()
	return f.data != nil && addr >= start && addr-start < uintptr(len(f.data))
}

// Offset is where part, a part of Bytes, begins in the file; false if it lies elsewhere or is empty.
func (f *File) Offset(part []byte) (off int64, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.data == nil || len(part) == 0 {
		return 0, false
	}
	start, at := reflect.ValueOf([]byte(f.data)).Pointer(), reflect.ValueOf(part).Pointer()
	if at < start || at-start > uintptr(len(f.data)-len(part)) {
		return 0, false
	}
	return int64(at - start), true
}

// Size is the length in bytes.
func (f *File) Size() int64 { return f.info.Size() }

// ModTime is the time of modification of the file when it was mapped.
func (f *File) ModTime() time.Time { return f.info.ModTime() }

// Path is the path that was given to Open.
func (f *File) Path() string { return f.path }

// Close removes the mapping; reading bytes of it afterwards kills the process. More calls do nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil {
		return nil
	}
	if err := errors.Join(f.data.Unmap(), f.file.Close()); err != nil {
		return &Error{f.path, fmt.Sprintf("cannot be unmapped: %v", err), err}
	}
	return nil
}

// Changed is nil if the path still names the file that was mapped, with the same size and time of modification; else an
// *Error of kind ErrChanged, or what the system said if the file cannot be looked at. After a rename over the path the
// mapping stays good: it keeps the old file alive.
func (f *File) Changed() error {
	now, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{f.path, "was removed since it was mapped: load the model again", ErrChanged}
	case err != nil:
		return openError(f.path, err)
	case !os.SameFile(now, f.info):
		return &Error{f.path, "was replaced since it was mapped: load the model again", ErrChanged}
	case now.Size() != f.info.Size():
		return &Error{f.path, fmt.Sprintf("went from %d to %d bytes while it was mapped: get it again, and replace files by renaming only",
			f.info.Size(), now.Size()), ErrChanged}
	case !now.ModTime().Equal(f.info.ModTime()):
		return &Error{f.path, "was written to while it was mapped: load the model again, and replace files by renaming only", ErrChanged}
	}
	return nil
}

// Advice tells the kernel what comes next. It changes speed, never contents.
type Advice int

// The kinds of advice, after posix_madvise.
const (
	Normal     Advice = iota // no particular order
	Sequential               // from front to back: read ahead a lot
	Random                   // here and there: do not read ahead
	WillNeed                 // soon: start to read now
	DontNeed                 // not soon: the pages may go, and come from disk again when touched
)

// Advise gives advice for n bytes from byte off; the range is widened to whole pages. It does nothing where the system has no
// such call. Errors: ErrClosed; a range outside the file; what the system said.
func (f *File) Advise(a Advice, off, n int64) error {
	return f.with(off, n, func(pages []byte, _ int64) error { return advise(pages, a) })
}

// Populate reads n bytes from byte off into memory and maps them, before it returns where the system can (Linux 5.14); elsewhere it
// begins to. Errors are those of Advise; reading has failed where the file was cut.
func (f *File) Populate(off, n int64) error {
	return f.with(off, n, func(pages []byte, _ int64) error { return populate(pages) })
}

// Drop gives n bytes from byte off back to the system, out of the page cache as well: nobody else should need them soon. They
// come from disk again when they are touched. Errors are those of Advise.
func (f *File) Drop(off, n int64) error {
	return f.with(off, n, func(pages []byte, from int64) error { return drop(f.file, pages, from) })
}

// Pieces says that n bytes from byte off come and go in pieces of 2 MiB, the place in the file a multiple of that: touching one byte
// reads its piece, and never more. Without it the system may read on far ahead, by what its administrator has set, 128 KiB or
// megabytes, and behind what is touched as well. It does nothing before Linux 5.18. Errors are those of Advise.
func (f *File) Pieces(off, n int64) error {
	return f.with(off, n, func(pages []byte, _ int64) error { return pieces(pages) })
}

// Fetch reads n bytes from byte off into the page cache, whole pages and never more, for who will need little here and there.
// Errors are those of Advise, and of reading.
func (f *File) Fetch(off, n int64) error {
	return f.with(off, n, func(pages []byte, from int64) error {
		var page [4096]byte // on the stack; a page of the system may be larger, and is then read by the first of them
		for at := int64(0); at < int64(len(pages)); at += int64(len(page)) {
			if _, err := f.file.ReadAt(page[:min(len(page), len(pages)-int(at))], from+at); err != nil {
				return err
			}
		}
		return nil
	})
}

// with calls do for the whole pages around n bytes from byte off, which begin at byte from.
func (f *File) with(off, n int64, do func(pages []byte, from int64) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case f.data == nil:
		return &Error{f.path, "is closed, so it takes no advice", ErrClosed}
	case off < 0 || n < 0 || off > f.Size() || n > f.Size()-off:
		return &Error{f.path, fmt.Sprintf("has no range of %d bytes at %d: it is %d long", n, off, f.Size()), fs.ErrInvalid}
	case n == 0:
		return nil
	}
	start := off &^ int64(os.Getpagesize()-1)
	if err := do(f.data[start:off+n], start); err != nil {
		return &Error{f.path, fmt.Sprintf("takes no advice: %v", err), err}
	}
	return nil
}

// AdviseAll gives advice for the whole file.
func (f *File) AdviseAll(a Advice) error { return f.Advise(a, 0, f.Size()) }
