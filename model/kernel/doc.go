// Package kernel is the seam between the model and the machine: a Set holds one implementation of every kernel that the
// forward pass calls, and a Pool divides a call's rows among worker goroutines.
//
// Sets come from the packages kernels_amd64 and kernels_arm64, chosen by what the CPU offers, and from model/quant,
// whose plain Go is the definition of right and the last resort on every machine. A Set is a value that is handed to the
// model: nothing global is flipped, a configuration can force "generic", and a test can inject a faulty one.
//
// This package never reads a file, the environment or the clock.
package kernel
