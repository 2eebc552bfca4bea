//go:build !linux

package mapfile

import "os"

// TryLock always succeeds: there is no lock between processes here.
func TryLock(*os.File) (bool, error) { return true, nil }

// Flush does nothing: it is about memory only.
func Flush(*os.File, int64, int64) {}

// Forget does nothing, likewise.
func Forget(*os.File, int64, int64) {}

// Reserve makes the file n bytes long.
func Reserve(f *os.File, n int64) error { return f.Truncate(n) }
