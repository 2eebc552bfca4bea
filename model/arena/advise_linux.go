package arena

import "golang.org/x/sys/unix"

// dropMemory gives whole pages back at once (madvise(2), MADV_DONTNEED on anonymous memory: zeros at the next access).
func dropMemory(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }

// hugePages asks for pages of 2 MB, or for none. A system without them refuses, and nothing is lost.
func hugePages(b []byte, yes bool) {
	advice := unix.MADV_NOHUGEPAGE
	if yes {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(b, advice)
}
