package mapfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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

// populate calls madvise(2) with MADV_POPULATE_READ, or, before Linux 5.14, MADV_WILLNEED.
func populate(b []byte) error {
	err := unix.Madvise(b, unix.MADV_POPULATE_READ)
	if errors.Is(err, unix.EINVAL) {
		return unix.Madvise(b, unix.MADV_WILLNEED)
	}
	return err
}

// pieces is MADV_HUGEPAGE with MADV_RANDOM: a fault reads the huge page around it and nothing beyond (do_sync_mmap_readahead in
// mm/filemap.c, since Linux 5.18). Without the former the latter would read page by page, so both or none.
func pieces(b []byte) error {
	if !since(5, 18) || unix.Madvise(b, unix.MADV_HUGEPAGE) != nil {
		return nil
	}
	return unix.Madvise(b, unix.MADV_RANDOM)
}

// since tells whether the system is at least that version of Linux.
func since(major, minor int) bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var a, b int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &a, &b)
	return err == nil && (a > major || a == major && b >= minor)
}

// drop removes b from this process and, unless others have it mapped, from the page cache: madvise(2), posix_fadvise(2).
func drop(f *os.File, b []byte, from int64) error {
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), from, int64(len(b)), unix.FADV_DONTNEED)
}
