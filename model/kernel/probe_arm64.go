//go:build !purego

package kernel

import kernels "siskin/kernels_arm64"

// ProbeOf returns the loops that set s is measured against.
func ProbeOf(s *Set) Probe {
	p := Probe{Peak: kernels.PeakNEON, PeakMACs: kernels.PeakNEONMACs, Instruction: "SMLAL", Read: kernels.ReadNEON}
	switch s.Name {
	case "generic":
		return genericProbe()
	case "dotprod":
		p.Peak, p.PeakMACs, p.Instruction = kernels.PeakDotProd, kernels.PeakDotProdMACs, "SDOT"
	case "i8mm":
		p.Peak, p.PeakMACs, p.Instruction = kernels.PeakI8MM, kernels.PeakI8MMMACs, "SMMLA"
	}
	return p
}
