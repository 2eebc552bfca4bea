//go:build !purego

package kernels

import "golang.org/x/sys/cpu"

// HasNEON reports whether the CPU has the vector instructions of ARMv8.0, which every function *NEON needs. They include
// the conversions between binary16 and float32, not arithmetic on binary16.
func HasNEON() bool { return cpu.ARM64.HasASIMD }

// HasDotProd reports whether the CPU has SDOT (FEAT_DotProd, optional in ARMv8.2), which every function *DotProd needs
// besides NEON.
func HasDotProd() bool { return cpu.ARM64.HasASIMD && cpu.ARM64.HasASIMDDP }

// HasI8MM reports whether the CPU has SMMLA (FEAT_I8MM, optional in ARMv8.2 and part of ARMv8.6), which every function *I8MM needs
// besides SDOT and NEON.
func HasI8MM() bool { return HasDotProd() && cpu.ARM64.HasI8MM }
