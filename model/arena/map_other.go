//go:build !unix

package arena

// mapMemory takes the memory from the heap where there are no anonymous mappings.
func mapMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapMemory([]byte) error { return nil }
