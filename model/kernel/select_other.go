//go:build purego || !(amd64 || arm64)

package kernel

// candidates is empty where no assembly is built in.
func candidates() []*Set { return nil }
