package quant

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// TestGoldenQuants compares every format of the golden folder with the values an outside implementation computed. Layout
// sizes are checked for all of them, values for those that can be decoded.
func TestGoldenQuants(t *testing.T) {
	dir := goldentest.Path(t, "quants")
	var index struct {
		Types map[string]struct {
			ID      Type `json:"ggml_type"`
			Columns int  `json:"columns"`
			Rows    int  `json:"rows"`
			Bytes   int  `json:"bytes"`
		} `json:"types"`
	}
	goldentest.JSON(t, &index, "quants", "index.json")
	values := 0
	for name, e := range index.Types {
		if e.ID.String() != name {
			t.Errorf("id %d is %q here, %q in the reference", e.ID, e.ID, name)
		}
		if n, err := e.ID.RowBytes(e.Columns * e.Rows); err != nil || n != e.Bytes {
			t.Errorf("%s: %d bytes (%v), reference %d", name, n, err, e.Bytes)
		}
		if !e.ID.Supported() {
			continue
		}
		values++
		checkGolden(t, dir, name, e.ID, e.Columns*e.Rows)
	}
	if values != len(index.Types) {
		t.Errorf("only %d formats had their values checked", values)
	}
}

func checkGolden(t *testing.T, dir, name string, id Type, n int) {
	t.Helper()
	file := filepath.Join(dir, strings.ToLower(name))
	src, err := os.ReadFile(file + ".q")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := os.ReadFile(file + ".f32")
	if err != nil {
		t.Fatal(err)
	}
	got, want := make([]float32, n), make([]float32, n)
	if err := Dequantize(id, got, src); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := Dequantize(F32, want, ref); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i := range got {
		if ulps(got[i], want[i]) > 1 {
			t.Fatalf("%s value %d: got %v, want %v", name, i, got[i], want[i])
		}
	}
}

// ulps is the distance of two numbers in steps of float32.
func ulps(a, b float32) int64 {
	order := func(f float32) int64 {
		v := int64(int32(math.Float32bits(f)))
		if v < 0 {
			v = math.MinInt32 - v
		}
		return v
	}
	d := order(a) - order(b)
	return max(d, -d)
}

// The formats that the golden folder has no values of, against gguf-py 0.19: random blocks with scales of ordinary size (testdata/README).
func TestSmallFormats(t *testing.T) {
	for _, id := range []Type{IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, TQ1_0, TQ2_0, MXFP4, NVFP4} {
		checkGolden(t, "testdata", id.String(), id, 24*id.BlockLen())
	}
}
