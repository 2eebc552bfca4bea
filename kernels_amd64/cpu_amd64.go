//go:build !purego

package kernels

import "golang.org/x/sys/cpu"

// HasAVX2 reports whether the functions with suffix AVX2 run here: AVX2, FMA and F16C, and a system that saves their
// registers.
func HasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C }

// HasAVX512VNNI reports whether the functions with suffix VNNI run here: AVX-512 F, BW, VL and VNNI, and all of HasAVX2.
func HasAVX512VNNI() bool {
	x := &cpu.X86
	return HasAVX2() && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512VNNI
}

// HasAVXVNNI reports whether the functions with suffix AVXVNNI run here: VPDPBUSD in its VEX form, and all of HasAVX2.
func HasAVXVNNI() bool { return HasAVX2() && cpu.X86.HasAVXVNNI }
