package model

import (
	"testing"

	"siskin/model/kernel"
)

// What a worker asks for is where its share begins: shares are of whole pieces, counted over all matrices of the region.
func TestRegionFrom(t *testing.T) {
	matrix := func(rows int) *Matrix {
		const rowBytes = 360
		return &Matrix{Rows: rows, rowBytes: rowBytes, Data: make([]byte, rows*rowBytes)}
	}
	q, k, v := matrix(576), matrix(192), matrix(192)
	gate, up := matrix(1536), matrix(1536)
	attention, unit := region{of: [3]*Matrix{q, k, v}}, region{of: [3]*Matrix{gate}, up: up}
	for _, c := range []struct {
		name   string
		region region
		row    int
		want   kernel.Ahead
	}{
		{"first", attention, 0, kernel.Ahead{q.Data[:aheadBytes]}},
		{"middle", attention, 480, kernel.Ahead{q.Data[480*360:][:aheadBytes]}},
		{"end of a matrix", attention, 544, kernel.Ahead{q.Data[544*360:]}},
		{"second", attention, 576, kernel.Ahead{k.Data[:aheadBytes]}},
		{"last", attention, 800, kernel.Ahead{v.Data[32*360:][:aheadBytes]}},
		{"gate and up", unit, 768, kernel.Ahead{gate.Data[768*360:][:aheadBytes/2], up.Data[768*360:][:aheadBytes/2]}},
		{"behind all", attention, 960, kernel.Ahead{}},
		{"nothing known", region{}, 0, kernel.Ahead{}},
	} {
		got := c.region.from(c.row)
		for i := range got {
			if len(got[i]) != len(c.want[i]) || len(got[i]) > 0 && &got[i][0] != &c.want[i][0] {
				t.Errorf("%s: place %d has %d bytes, want %d at the first of the share", c.name, i, len(got[i]), len(c.want[i]))
			}
		}
	}
}
