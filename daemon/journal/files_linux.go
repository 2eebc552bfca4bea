package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes the blocks of a file, so that writing to it later cannot fail for want of room. File systems that cannot do
// that give a file with a hole.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.Truncate(size)
	}
	return err
}

// syncData leaves out the times of the file, which would cost a write of its inode.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
