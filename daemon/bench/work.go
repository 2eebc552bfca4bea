package bench

import "siskin/model"

// Work is what a pass of a model costs, exactly, from its shapes.
type Work struct {
	LayerMACs   int64 // multiply-accumulates of the layers' matrix products, per token
	HeadMACs    int64 // of the output matrix, per token that wants logits
	WeightBytes int64 // bytes of weights that one decoded token reads
}

// WorkOf returns the work of m.
func WorkOf(m *model.Model) Work {
	w := Work{WeightBytes: m.WeightBytes()}
	matrices, output := layerMatrices(m), &m.Weights.Output
	for _, x := range matrices {
		w.LayerMACs += int64(x.Rows) * int64(x.Cols)
	}
	w.HeadMACs = int64(output.Rows) * int64(output.Cols)
	return w
}

// AttentionMACs returns the multiply-accumulates of attention for n tokens at the positions from, from+1, ...: each
// meets itself and all before it, once for the scores and once for the sum of the values.
func AttentionMACs(c *model.Config, from, n int) int64 {
	first, last := int64(from)+1, int64(from)+int64(n)
	pairs := (first + last) * int64(n) / 2
	return 2 * pairs * int64(c.Heads) * int64(c.HeadDim) * int64(c.Layers)
}

// layerMatrices lists the matrices of all layers that one token reads, in order.
func layerMatrices(m *model.Model) []*model.Matrix {
	var all []*model.Matrix
	for i := range m.Weights.Layers {
		all = append(all, m.Weights.Layers[i].ReadByToken(&m.Config)...)
	}
	return all
}

// weightSpans lists the bytes of weights that one decoded token reads, in that order.
func weightSpans(m *model.Model) [][]byte {
	var spans [][]byte
	for _, x := range append(layerMatrices(m), &m.Weights.Output) {
		spans = append(spans, x.Data)
	}
	return spans
}
