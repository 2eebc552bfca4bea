//go:build !linux

package memory

// TrimProgram does nothing: only Linux is known to keep what it reads ahead of a program in memory.
func TrimProgram() error { return nil }
