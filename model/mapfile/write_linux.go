package mapfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// TryLock takes an exclusive lock on f that ends with the file's last descriptor, so with the process at the latest. False:
// another process, or another descriptor of this one, has it.
func TryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Flush writes n bytes of f from byte off to the disk and gives their memory back, so that writing a large file does not
// push everything else out of the page cache. It makes nothing durable: sizes and names need f.Sync. A file system that
// cannot do it leaves the work to Sync.
func Flush(f *os.File, off, n int64) {
	const flags = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if unix.SyncFileRange(int(f.Fd()), off, n, flags) == nil {
		Forget(f, off, n)
	}
}

// Forget gives back the memory that holds n bytes of f from byte off, unless they are mapped somewhere or not yet on disk.
// Where it does not work nothing is lost but memory.
func Forget(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}

// Reserve takes room on the disk for n bytes of f, which then read as zeros, so that a full disk is known before anything is
// written. A file system that cannot do it only makes the file so long.
func Reserve(f *os.File, n int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, n)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(f.Fd()), 0, 0, n)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.Truncate(n)
	}
	return err
}
