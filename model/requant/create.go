package requant

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"siskin/model/gguf"
	"siskin/model/mapfile"
	"siskin/model/quant"
	"siskin/model/quant/encode"
)

// Job says what Create makes.
type Job struct {
	Source, Dest string // paths of model files
	Type         quant.Type
	Replace      bool // Dest, if it is there
	Workers      int  // goroutines that encode; at least 1
	// Step, if not nil, is called between pieces of work of some tens of milliseconds, with the weights that are written and
	// those in all. Its error ends Create and is returned.
	Step func(done, total int64) error
}

// Result is what was made.
type Result struct {
	Tensors []Tensor
	Bytes   int64 // of the new file
}

const (
	// pieceValues is how many weights a worker encodes at a time: whole blocks of every format; 0.3 MB as floats.
	pieceValues = 64 << 10
	// temporary is the ending of a file that is not finished.
	temporary = ".tmp"
)

// Create writes the model in Source with matrices of another format to Dest. Dest appears complete and on disk, or not at
// all: it is written as Dest.tmp beside it, synced, and renamed. Its room on the disk is taken first, so that a full disk is
// known at once. What an interrupted Create left is overwritten by the next.
//
// Errors: those of Plan; ErrSame; ErrExists; ErrBusy; encode.ErrValue, with tensor, row and column; those of the system and of
// Step.
func Create(job Job) (Result, error) { return create(job, reserve) }

// target is the unfinished file.
type target interface {
	io.WriterAt
	Sync() error
}

// reserve takes the room of n bytes and gives what is written to.
func reserve(f *os.File, n int64) (target, error) {
	return f, mapfile.Reserve(f, n)
}

func create(job Job, open func(f *os.File, n int64) (target, error)) (r Result, err error) {
	src, err := mapfile.Open(job.Source)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	mode, err := checkDest(&job)
	if err != nil {
		return r, err
	}
	f, err := gguf.Parse(src.Bytes())
	if err != nil {
		return r, fmt.Errorf("%s: %w", job.Source, err)
	}
	if r.Tensors, err = Plan(f, job.Type); err != nil {
		return r, fmt.Errorf("%s: %w", job.Source, err)
	}
	head := header(f, job.Type, r.Tensors)
	r.Bytes = int64(len(head))
	for i := range r.Tensors {
		r.Bytes += align(r.Tensors[i].Bytes, f.Alignment)
	}
	tmp := job.Dest + temporary
	file, err := openTemporary(tmp, mode)
	if err != nil {
		return r, err
	}
	out, err := open(file, r.Bytes)
	if err == nil {
		w := writer{job: &job, src: src, dst: out, file: file, pieces: make([]piece, max(1, job.Workers))}
		err = w.all(head, r.Tensors, f.Alignment)
	}
	if err == nil {
		err = src.Changed()
	}
	// Renamed while it is open, since the lock ends with it. Nothing is written after the sync, so Close cannot fail.
	if err == nil {
		err = os.Rename(tmp, job.Dest)
	}
	if err != nil {
		return r, errors.Join(fmt.Errorf("%s (%.1f MB): %w", job.Dest, float64(r.Bytes)/1e6, err), os.Remove(tmp), file.Close())
	}
	return r, errors.Join(file.Close(), syncDir(filepath.Dir(job.Dest)))
}

// checkDest refuses a destination that must not be written; mode is the source's.
func checkDest(job *Job) (fs.FileMode, error) {
	source, err := os.Stat(job.Source)
	if err != nil {
		return 0, err
	}
	dest, err := os.Stat(job.Dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return source.Mode().Perm(), nil
	case err != nil:
		return 0, err
	case os.SameFile(source, dest):
		return 0, fmt.Errorf("%s: %w: name another file", job.Dest, ErrSame)
	case !dest.Mode().IsRegular():
		return 0, fmt.Errorf("%s is a folder or a device: name a file", job.Dest)
	case !job.Replace:
		return 0, fmt.Errorf("%s %w", job.Dest, ErrExists)
	}
	return source.Mode().Perm(), nil
}

// openTemporary opens and locks the unfinished file, which may be read by whoever may read the source.
func openTemporary(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	free, err := mapfile.TryLock(f)
	if err == nil && free {
		// A former holder of the lock may have renamed or removed it since it was opened here.
		var mine, named fs.FileInfo
		mine, err = f.Stat()
		if err == nil {
			named, err = os.Stat(path)
			free = err == nil && os.SameFile(mine, named)
		}
	}
	if err == nil && !free {
		err = fmt.Errorf("%s: %w", path, ErrBusy)
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), f.Chmod(mode|0o600))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writer fills the file.
type writer struct {
	job         *Job
	src         *mapfile.File
	dst         target
	file        *os.File // for the page cache
	pieces      []piece
	done, total int64
}

// piece is what one worker encodes at a time.
type piece struct {
	values [pieceValues]float32
	out    []byte
	err    error
}

// all writes the header and the tensors, one after the other.
func (w *writer) all(head []byte, plan []Tensor, alignment int) error {
	if _, err := w.dst.WriteAt(head, 0); err != nil {
		return err
	}
	for i := range plan {
		w.total += int64(plan[i].Elements())
	}
	at := int64(len(head))
	for i := range plan {
		if err := w.tensor(&plan[i], at); err != nil {
			return fmt.Errorf("tensor %s: %w", plan[i].Name, err)
		}
		// The room is zeros, so padding needs no writing.
		at += align(plan[i].Bytes, alignment)
	}
	return w.dst.Sync()
}

// tensor writes t at byte at. Rows are tight and whole blocks in both formats, so pieces need not know of rows.
func (w *writer) tensor(t *Tensor, at int64) error {
	n := t.Elements()
	for first := 0; first < n; {
		var wait sync.WaitGroup
		used, next := 0, first
		for ; used < len(w.pieces) && next < n; used++ {
			p, from, to := &w.pieces[used], next, min(next+pieceValues, n)
			wait.Go(func() { p.fill(t, from, to) })
			next = to
		}
		wait.Wait()
		start := at
		for i := range w.pieces[:used] {
			p := &w.pieces[i]
			if p.err != nil {
				return p.err
			}
			if _, err := w.dst.WriteAt(p.out, at); err != nil {
				return err
			}
			at += int64(len(p.out))
		}
		mapfile.Flush(w.file, start, at-start)
		// Advice only: a system that does not take it keeps more of the source in its page cache.
		begin, end := size(t.Type, first), size(t.Type, next)
		_ = w.src.Advise(mapfile.DontNeed, t.Offset+begin, end-begin)
		w.done += int64(next - first)
		first = next
		if w.job.Step != nil {
			if err := w.job.Step(w.done, w.total); err != nil {
				return err
			}
		}
	}
	return nil
}

// size is the length in bytes of n values, whole blocks.
func size(t quant.Type, n int) int64 { return int64(n/t.BlockLen()) * int64(t.BlockBytes()) }

// fill encodes values [from, to) of t, or takes them as they are where the format stays.
func (p *piece) fill(t *Tensor, from, to int) {
	data := t.Data[size(t.Type, from):size(t.Type, to)]
	if t.To == t.Type {
		p.out, p.err = append(p.out[:0], data...), nil
		return
	}
	values := p.values[:to-from]
	if p.err = quant.Dequantize(t.Type, values, data); p.err != nil {
		return
	}
	if need := int(size(t.To, to-from)); cap(p.out) < need {
		p.out = make([]byte, need)
	} else {
		p.out = p.out[:need]
	}
	p.err = encode.Row(t.To, p.out, values)
	var bad *encode.ValueError
	if errors.As(p.err, &bad) {
		i := from + bad.Index
		p.err = fmt.Errorf("row %d, column %d: %w", i/t.Cols(), i%t.Cols(), p.err)
	}
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
