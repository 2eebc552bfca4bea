//go:build purego || !(amd64 || arm64)

package kernel

// ProbeOf returns the loops that set s is measured against.
func ProbeOf(*Set) Probe { return genericProbe() }
