//go:build !linux

package mapfile

// advise does nothing: advice is about speed only.
func advise([]byte, Advice) error { return nil }
