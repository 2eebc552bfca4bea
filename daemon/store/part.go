package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// origin is what is known of the file at the source while it is fetched; it is kept beside the unfinished file.
type origin struct {
	URL      string `json:"url"`                // as address gives it, without secrets
	ETag     string `json:"etag,omitempty"`     // as the server sent it
	Modified string `json:"modified,omitempty"` // Last-Modified, likewise
	Size     int64  `json:"size"`               // whole file; -1 unknown
	SHA256   string `json:"sha256,omitempty"`   // announced by the hub
	Synced   int64  `json:"synced"`             // bytes of the .part that are surely on disk
}

// part is the unfinished file, locked against other processes and other pulls of this one.
type part struct {
	path     string
	f        *os.File
	done     int64 // bytes written
	origin   origin
	linked   string // second name of a local file that takes the place of the contents; empty: none
	finished bool   // renamed into place
}

// openPart opens or makes dst's .part and locks it. What a former pull left of it counts only as far as it was synced.
func openPart(dst string) (*part, error) {
	p := &part{path: dst + ".part"}
	return p, inFolder(filepath.Dir(dst), func() error { return p.open(dst) })
}

func (p *part) open(dst string) error {
	f, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return systemError(p.path, "cannot be written", err)
	}
	size, err := lockPart(f, p.path, dst)
	if err == nil {
		p.f = f
		err = p.load(size)
	}
	if err != nil {
		_ = f.Close() // nothing was written
	}
	return err
}

// lockPart locks f, the file at path, and tells its size.
func lockPart(f *os.File, path, dst string) (int64, error) {
	free, err := lock(f)
	if err != nil {
		return 0, systemError(path, "cannot be locked", err)
	}
	// Where the folder cannot be locked, the former holder may have renamed the file to dst since it was opened here: it must
	// not be written to.
	mine, err1 := f.Stat()
	named, err2 := os.Stat(path)
	if !free || err1 != nil || err2 != nil || !os.SameFile(mine, named) {
		return 0, &Error{dst, "is being pulled by another process or request: wait for it", ErrBusy}
	}
	return mine.Size(), nil
}

func (p *part) sidePath() string { return p.path + ".json" }

// content is the path of what will be put in place.
func (p *part) content() string { return cmp.Or(p.linked, p.path) }

// link gives the file at src a second name beside the .part, to be put in place instead of a copy. It fails where the file
// system, or the owner's rights, do not allow it.
func (p *part) link(src string) error {
	// link(2) would make a second name of a symbolic link, not of the file behind it.
	file, err := filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	name := p.path + ".link"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an interrupted pull
		return err
	}
	if err := os.Link(file, name); err != nil {
		return err
	}
	p.linked = name
	return nil
}

// load reads what is known of the unfinished file; anything doubtful means to begin anew.
func (p *part) load(size int64) error {
	text, err := os.ReadFile(p.sidePath())
	if err == nil {
		err = json.Unmarshal(text, &p.origin)
	}
	o := &p.origin
	if err != nil || o.Synced < 0 || o.Synced > size || (o.Size >= 0 && o.Synced > o.Size) {
		return p.reset(origin{Size: -1})
	}
	return p.truncate(o.Synced)
}

// truncate cuts the file to n bytes and goes to its end.
func (p *part) truncate(n int64) error {
	err := p.f.Truncate(n)
	if err == nil {
		_, err = p.f.Seek(n, io.SeekStart)
	}
	if err != nil {
		return systemError(p.path, "cannot be cut", err)
	}
	p.done = n
	return nil
}

// reset begins anew, for the file that o describes.
func (p *part) reset(o origin) error {
	o.Synced = 0
	p.origin = o
	return p.truncate(0)
}

func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.done += int64(n)
	if err != nil {
		return n, systemError(p.path, "cannot be written", err)
	}
	return n, nil
}

// sync puts all bytes on disk and then notes that they are.
func (p *part) sync() error {
	if p.linked != "" {
		return syncFile(p.linked)
	}
	if err := p.f.Sync(); err != nil {
		return systemError(p.path, "cannot be written", err)
	}
	p.origin.Synced = p.done
	text, err := json.Marshal(p.origin)
	if err != nil {
		return systemError(p.sidePath(), "cannot be encoded", err)
	}
	return writeAtomic(p.sidePath(), append(text, '\n'))
}

// complete reports whether a former pull fetched everything.
func (p *part) complete() bool { return p.origin.Size > 0 && p.done == p.origin.Size }

// discard removes the unfinished file, because its contents are of no use.
func (p *part) discard() {
	// Failing to clean up does no harm: a wrong file is found out again.
	_ = os.Remove(p.sidePath())
	p.unlink()
	_ = p.reset(origin{Size: -1})
}

// install renames the file to dst for good.
func (p *part) install(dst string) error {
	// The recorded sum of a replaced file must not survive it.
	if err := os.Remove(sumPath(dst)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return systemError(sumPath(dst), "cannot be removed", err)
	}
	if err := os.Rename(p.content(), dst); err != nil {
		return systemError(dst, "cannot be put in place", err)
	}
	p.finished = p.linked == "" // else the .part, which is the lock, is still to be removed
	p.linked = ""
	if err := syncDir(filepath.Dir(dst)); err != nil {
		return systemError(dst, "cannot be synced", err)
	}
	// Stale notes without a .part are ignored and overwritten; removing them is tidiness.
	_ = os.Remove(p.sidePath())
	return nil
}

// unlink removes the second name of a local file, if there is one.
func (p *part) unlink() {
	if p.linked != "" {
		_ = os.Remove(p.linked) // the next link removes it too
		p.linked = ""
	}
}

// close keeps what can be resumed, removes what cannot, and unlocks.
func (p *part) close() {
	p.unlink()
	// Best effort: what is left here is found out by the next pull, which begins anew or at the former sync.
	switch {
	case p.finished:
	case p.done == 0:
		_ = inFolder(filepath.Dir(p.path), func() error {
			return errors.Join(os.Remove(p.sidePath()), os.Remove(p.path))
		})
	case p.origin.Synced != p.done:
		_ = p.sync()
	}
	_ = p.f.Close()
}

// writeAtomic writes a small file so that a reader sees all of it or what was there before.
func writeAtomic(path string, text []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return systemError(path, "cannot be written", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return systemError(path, "cannot be written", err)
	}
	return nil
}

// inFolder calls do while no other pull, of this process or another, is in do for this folder: for the moments in which files
// get or lose their names. Where the file system cannot lock a folder it does without.
func inFolder(dir string, do func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return systemError(dir, "cannot be read", err)
	}
	defer d.Close() // ends the lock
	lockFolder(d)
	return do()
}

// syncFile puts a file that others wrote on disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return systemError(path, "cannot be synced", err)
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkSpace refuses to begin what would not fit: need bytes and a margin.
func checkSpace(dir string, need, margin int64) error {
	free, err := freeBytes(dir)
	if err != nil {
		return systemError(dir, "free space cannot be asked for", err)
	}
	if free >= 0 && (need > free || free-need < margin) {
		return &Error{dir, fmt.Sprintf("has %s free, but %s are needed and %s must stay free: make room or use another folder",
			size(free), size(need), size(margin)), ErrNoSpace}
	}
	return nil
}

// size prints bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}

// partTotal is the size that the file of a .part will have, -1 if unknown.
func partTotal(path string) int64 {
	text, err := os.ReadFile(path + ".json")
	var o origin
	if err != nil || json.Unmarshal(text, &o) != nil {
		return -1
	}
	return o.Size
}
