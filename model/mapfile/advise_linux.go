package mapfile

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// advise calls madvise(2) on b, which starts at a page. DontNeed on a shared mapping of a file drops no data: the pages
// come back from the file.
func advise(b []byte, a Advice) error {
	calls := [...]int{
		Normal: unix.MADV_NORMAL, Sequential: unix.MADV_SEQUENTIAL, Random: unix.MADV_RANDOM,
		WillNeed: unix.MADV_WILLNEED, DontNeed: unix.MADV_DONTNEED,
	}
	if a < 0 || int(a) >= len(calls) {
		return fs.ErrInvalid
	}
	return unix.Madvise(b, calls[a])
}
