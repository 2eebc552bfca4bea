package arena

import "golang.org/x/sys/unix"

// dropMemory gives whole pages back at once (madvise(2), MADV_DONTNEED on anonymous memory: zeros at the next access).
func dropMemory(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }
