//go:build !purego

package kernel

import kernels "siskin/kernels_amd64"

// ProbeOf returns the loops that set s is measured against.
func ProbeOf(s *Set) Probe {
	switch s.Name {
	case "generic":
		return genericProbe()
	case "avx512vnni":
		return Probe{
			Peak: kernels.PeakVNNI, PeakMACs: kernels.PeakVNNIMACs, Instruction: "VPDPBUSD of 64 bytes",
			Read: kernels.ReadVNNI,
		}
	case "avxvnni":
		return Probe{
			Peak: kernels.PeakAVXVNNI, PeakMACs: kernels.PeakAVXVNNIMACs, Instruction: "VPDPBUSD of 32 bytes",
			Read: kernels.ReadAVX2,
		}
	default:
		return Probe{
			Peak: kernels.PeakAVX2, PeakMACs: kernels.PeakAVX2MACs, Instruction: "VPMADDUBSW of 32 bytes and VPADDW",
			Read: kernels.ReadAVX2,
		}
	}
}
