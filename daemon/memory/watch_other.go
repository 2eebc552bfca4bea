//go:build !linux

package memory

import "context"

// await has nothing to wait for: pressure stall information is Linux's.
func (p Pressure) await(context.Context, func()) error { return errNoTrigger }
