package pack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"siskin/model/mapfile"
	"siskin/model/quant"
)

// Job says what Create makes.
type Job struct {
	Model   string // path of the model file
	Packing quant.Packing
	Tensors []Part // in the order in which a pass reads them
	// Step, if not nil, is called between pieces of work of a few milliseconds, with the bytes read, written and checked so
	// far and in all. Its error ends Create and is returned; where it takes its time, Create does.
	Step func(done, total int64) error
}

// Part is one tensor of the model file.
type Part struct {
	Name       string
	Type       quant.Type
	Rows, Cols int
	Offset     int64 // of its rows in the model file, in bytes
}

// Length is the size in bytes of the packed file that the job makes. Errors: a tensor that cannot be packed.
func (j *Job) Length() (int64, error) {
	_, end, err := plan(j.tensors())
	return end, err
}

func (j *Job) tensors() []Tensor {
	out := make([]Tensor, len(j.Tensors))
	for i, p := range j.Tensors {
		out[i] = Tensor{Name: p.Name, Type: p.Type, Rows: p.Rows, Cols: p.Cols}
	}
	return out
}

// chunk is how much is read and written at a time; a larger group of rows is not divided. The largest group of a model
// that is opened at all is 4.5 MB: 16 rows of 2^18 columns in 8 bits.
const chunk = 256 << 10

// temporary is the ending of a file that is not finished.
const temporary = ".tmp"

// Create makes the packed file dst of a model file. It takes two chunks of memory, whatever the size of the model, reads
// and writes past the page cache as far as it can, and reads back what it wrote. dst appears complete and on disk, or not
// at all: it is written as dst.tmp beside it, synced, and renamed. A file that has the name is replaced, and stays as it was
// if Create fails. What an interrupted Create left is overwritten by the next.
//
// Errors: ErrBusy; ErrChanged; ErrDamaged if the disk does not return what was written; those of the system and of Step.
func Create(dst string, job Job) error { return create(disk{}, dst, job) }

// system is what Create does with files; tests make each call fail.
type system interface {
	open(path string, flag int, mode fs.FileMode) (target, error)
	stat(path string) (fs.FileInfo, error)
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

// target is a file that is written.
type target interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Truncate(size int64) error
	Sync() error
	lock() (bool, error)
	flush(off, n int64)
	forget(off, n int64)
}

// creation is one running Create.
type creation struct {
	job         Job
	sys         system
	src, dst    target
	source      Source
	tensors     []Tensor
	in, out     []byte
	done, total int64
}

func create(sys system, dst string, job Job) (err error) {
	c := &creation{job: job, sys: sys, tensors: job.tensors()}
	start, end, err := plan(c.tensors)
	if err != nil {
		return err
	}
	if c.src, err = sys.open(job.Model, os.O_RDONLY, 0); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.src.Close()) }()
	before, err := c.src.Stat()
	if err != nil {
		return err
	}
	c.source.Size, c.source.ModTime = before.Size(), before.ModTime().UnixNano()
	c.total = before.Size() + 2*(end-start)
	c.buffers()
	tmp := dst + temporary
	if c.dst, err = c.openTemporary(tmp, before.Mode().Perm()); err != nil {
		return err
	}
	err = c.fill(start, end)
	if err == nil {
		err = c.unchanged(before)
	}
	// Renamed while it is open, since the lock ends with it. Nothing is written after the sync, so Close cannot fail.
	if err == nil {
		err = sys.rename(tmp, dst)
	}
	if err != nil {
		err = errors.Join(err, sys.remove(tmp))
	}
	err = errors.Join(err, c.dst.Close())
	if err != nil {
		return err
	}
	return sys.syncDir(filepath.Dir(dst))
}

// buffers makes room for a chunk, or for the largest group.
func (c *creation) buffers() {
	size := chunk
	for i := range c.tensors {
		t := &c.tensors[i]
		size = max(size, int(t.length)/t.Rows*quant.PackRows)
	}
	c.in, c.out = make([]byte, size), make([]byte, size)
}

// openTemporary opens and locks the unfinished file. What is in it is of an interrupted Create. It may be read by whoever
// may read the model.
func (c *creation) openTemporary(path string, mode fs.FileMode) (target, error) {
	f, err := c.sys.open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	free, err := f.lock()
	if err == nil && free {
		free, err = c.names(path, f)
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

// names reports whether path is still the name of f: a former holder of the lock may have renamed or removed it since it was
// opened here.
func (c *creation) names(path string, f target) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := c.sys.stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, named), err
}

// fill writes the whole file, the header last: until then it is none.
func (c *creation) fill(start, end int64) error {
	if err := c.identify(); err != nil {
		return err
	}
	for i := range c.tensors {
		if err := c.tensor(&c.tensors[i], c.job.Tensors[i].Offset); err != nil {
			return fmt.Errorf("tensor %s: %w", c.tensors[i].Name, err)
		}
	}
	if err := c.dst.Sync(); err != nil {
		return err
	}
	c.dst.forget(start, end-start)
	for i := range c.tensors {
		if err := c.readBack(&c.tensors[i]); err != nil {
			return err
		}
	}
	if _, err := c.dst.WriteAt(encode(c.job.Packing, &c.source, c.tensors, start, end), 0); err != nil {
		return err
	}
	return c.dst.Sync()
}

// step reports n more bytes.
func (c *creation) step(n int64) error {
	c.done += n
	if c.job.Step == nil {
		return nil
	}
	return c.job.Step(c.done, c.total)
}

// identify computes sum and stamp of the model file.
func (c *creation) identify() (err error) {
	h := sha256.New()
	for off := int64(0); off < c.source.Size; {
		part := c.in[:min(chunk, c.source.Size-off)]
		if err := readFull(c.src, part, off); err != nil {
			return err
		}
		h.Write(part)
		off += int64(len(part))
		if err := c.step(int64(len(part))); err != nil {
			return err
		}
	}
	copy(c.source.SHA256[:], h.Sum(nil))
	c.source.Stamp, err = Stamp(c.src, c.source.Size)
	return err
}

// tensor interleaves the rows of t, which begin at from in the model file, and writes them with their padding.
func (c *creation) tensor(t *Tensor, from int64) error {
	rowBytes := int(t.length) / t.Rows
	group := rowBytes * quant.PackRows
	groups := int64(t.Interleaved) * int64(rowBytes)
	for off, size := int64(0), roundUp(t.length); off < size; {
		// Whole groups; behind them at most 15 rows, and zeros up to a page.
		n := min(int64(len(c.in)), size-off)
		if off < groups {
			n = min(int64(len(c.in)/group*group), groups-off)
		}
		in, out := c.in[:max(0, min(n, t.length-off))], c.out[:n]
		if err := readFull(c.src, in, from+off); err != nil {
			return err
		}
		c.src.forget(from+off, int64(len(in)))
		if off < groups {
			for g := 0; g < len(out); g += group {
				quant.PackGroup(t.Type, c.job.Packing, out[g:g+group], in[g:g+group], t.Cols)
			}
		} else {
			clear(out[copy(out, in):])
		}
		if _, err := c.dst.WriteAt(out, t.offset+off); err != nil {
			return err
		}
		c.dst.flush(t.offset+off, n)
		t.crc = checksum(t.crc, out)
		off += n
		if err := c.step(n); err != nil {
			return err
		}
	}
	return nil
}

// readBack compares what is on disk with what was written.
func (c *creation) readBack(t *Tensor) error {
	var crc uint32
	for off, end := t.offset, roundUp(t.offset+t.length); off < end; {
		part := c.in[:min(chunk, end-off)]
		if err := readFull(c.dst, part, off); err != nil {
			return err
		}
		crc = checksum(crc, part)
		c.dst.forget(off, int64(len(part)))
		off += int64(len(part))
		if err := c.step(int64(len(part))); err != nil {
			return err
		}
	}
	if crc != t.crc {
		return fmt.Errorf("tensor %s: %w: the disk does not return what was written to it", t.Name, ErrDamaged)
	}
	return nil
}

// unchanged compares the model file with what it was before.
func (c *creation) unchanged(before fs.FileInfo) error {
	now, err := c.sys.stat(c.job.Model)
	if err != nil {
		return err
	}
	if !os.SameFile(now, before) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%s: %w", c.job.Model, ErrChanged)
	}
	return nil
}

// readFull reads all of buf; an early end is a change of the file.
func readFull(r io.ReaderAt, buf []byte, off int64) error {
	_, err := r.ReadAt(buf, off)
	if errors.Is(err, io.EOF) {
		if len(buf) == 0 {
			return nil
		}
		return fmt.Errorf("it ends before byte %d: %w", off+int64(len(buf)), ErrChanged)
	}
	return err
}

// disk is the system's files.
type disk struct{}

func (disk) open(path string, flag int, mode fs.FileMode) (target, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) stat(path string) (fs.FileInfo, error) { return os.Stat(path) }
func (disk) rename(from, to string) error          { return os.Rename(from, to) }
func (disk) remove(path string) error              { return os.Remove(path) }

// syncDir makes a rename in dir durable.
func (disk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) lock() (bool, error) { return mapfile.TryLock(f.File) }
func (f diskFile) flush(off, n int64)  { mapfile.Flush(f.File, off, n) }
func (f diskFile) forget(off, n int64) { mapfile.Forget(f.File, off, n) }
