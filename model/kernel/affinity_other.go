//go:build !linux

package kernel

import (
	"errors"
	"fmt"
)

// Pin would keep the calling goroutine on the given CPUs; here it fails.
func Pin(cpus []int) error {
	return fmt.Errorf("pin a thread to CPUs %v: %w", cpus, errors.ErrUnsupported)
}
