package store

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// freeBytes is what an ordinary user may still write in dir; -1 if unknown.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	if block := uint64(s.Bsize); block > 0 && s.Bavail > math.MaxInt64/block {
		return math.MaxInt64, nil
	}
	return int64(s.Bavail * uint64(s.Bsize)), nil
}

// writable reports whether this process may make files in dir.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// lock takes an exclusive lock that ends with the file's last descriptor, so with the process at the latest. False: it is
// held elsewhere.
func lock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// lockFolder waits for an exclusive lock that ends with d. Some network file systems lock no folders; then there is none.
func lockFolder(d *os.File) {
	for errors.Is(unix.Flock(int(d.Fd()), unix.LOCK_EX), unix.EINTR) {
	}
}

// isFull reports whether err is about a full disk or a spent quota.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
