//go:build !purego

package kernels_test

import (
	"testing"

	kernels "siskin/kernels_amd64"
)

func needAVX2(tb testing.TB) bool { return kernels.HasAVX2() }
func needVNNI(tb testing.TB) bool { return kernels.HasAVX512VNNI() }
