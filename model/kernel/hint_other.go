//go:build purego || !(amd64 || arm64)

package kernel

// pause does nothing where no assembly is built in.
func pause() {}

// prefetch does nothing where no assembly is built in.
func prefetch([]byte) {}
