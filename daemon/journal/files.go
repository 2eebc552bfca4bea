package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Folder is where a journal keeps its segments: the operations on files that it makes. Tests fail them one by one.
type Folder interface {
	// Create makes a file that was not there and reserves size bytes for it, which read as zeros. Its name is durable after Sync.
	Create(name string, size int64) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Remove deletes a file.
	Remove(name string) error
	// List returns the names of all files.
	List() ([]string, error)
	// Sync makes names durable.
	Sync() error
}

// File is an open segment.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable.
	Sync() error
	// Size is its length in bytes.
	Size() (int64, error)
}

// Disk is a folder of the file system. One process has it at a time.
type Disk struct {
	path string
	lock *os.File
}

// lockName is the file by which processes keep out of each other's way. It stays.
const lockName = "lock"

// ErrLocked means that another process has the folder.
var ErrLocked = errors.New("in use by another process")

// OpenDisk makes the folder if it is absent, readable by its owner alone, and locks it.
func OpenDisk(path string) (*Disk, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), lock.Close())
	}
	return &Disk{path: path, lock: lock}, nil
}

// ReadDisk is a folder to read, whoever has it; it must be there.
func ReadDisk(path string) (*Disk, error) {
	if _, err := os.ReadDir(path); err != nil {
		return nil, err
	}
	return &Disk{path: path}, nil
}

// Close unlocks the folder.
func (d *Disk) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// Create is described at Folder.
func (d *Disk) Create(name string, size int64) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := reserve(f, size); err != nil {
		return nil, errors.Join(fmt.Errorf("reserve %d bytes for %s: %w", size, name, err), f.Close(), os.Remove(f.Name()))
	}
	return diskFile{f}, nil
}

// Open is described at Folder.
func (d *Disk) Open(name string) (File, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Remove is described at Folder.
func (d *Disk) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

// List is described at Folder.
func (d *Disk) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Sync is described at Folder.
func (d *Disk) Sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return syncData(f.File) }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
