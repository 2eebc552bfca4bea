//go:build !linux

package arena

import "errors"

// dropMemory keeps the memory: what MADV_DONTNEED leaves differs between systems.
func dropMemory([]byte) error { return errors.ErrUnsupported }

func hugePages([]byte, bool) {}
