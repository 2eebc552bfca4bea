package model

import "siskin/model/kernel"

// region names the matrices whose products are one region, in the order in which their pieces are divided among the workers: some
// that share an input, or a gate with what it is multiplied by.
type region struct {
	of [3]*Matrix // nil behind the last
	up *Matrix    // the gate's, or nil
}

// aheadBytes is how much of its share of the next region a worker asks for at the end of one: one and a half pieces of the
// default model. Half and twice as much gained less (decision 0014).
const aheadBytes = 16 << 10

// region is what the attention's queries, keys and values are computed with; matrices that it does not have are without rows.
func (a *Attention) region() region { return region{of: [3]*Matrix{&a.Q, &a.K, &a.V}} }

// after is the region that follows layer i, where it is known and waits for memory: not of experts, which are chosen in the pass,
// nor of recurrent layers.
func (s *State) after(i int) region {
	w := &s.model.Weights
	switch {
	case i+1 == len(w.Layers):
		return region{of: [3]*Matrix{&w.Output}}
	case w.Layers[i+1].Attention == nil || w.Layers[i+1].Recurrent != nil:
		return region{}
	default:
		return w.Layers[i+1].Attention.region()
	}
}

// feedRegion is the first region of the feed-forward block of l, which follows its attention.
func (l *Layer) feedRegion() region {
	if l.Feed == nil {
		return region{}
	}
	unit := l.Feed.unit(nil)
	return region{of: [3]*Matrix{unit.w}, up: unit.up}
}

// ahead returns what the workers ask for at the end of a region or of the attention: what their shares of the next region begin
// with. Larger passes wait for arithmetic, not for memory.
func (s *State) ahead(next region) []kernel.Ahead {
	if next.of[0] == nil || len(s.rows) > kernel.DecodeRows {
		return nil
	}
	rows := 0
	for _, w := range next.of {
		if w != nil {
			rows += w.Rows
		}
	}
	all := s.aheads[:s.pool.Active()]
	for worker := range all {
		all[worker] = next.from(rows / chunkAlign * worker / len(all) * chunkAlign)
	}
	return all
}

// from returns the bytes that a share begins with that begins at a row of all matrices together. Shares are of whole pieces, which
// may be larger than chunkAlign rows: then it is near.
func (r *region) from(row int) (ahead kernel.Ahead) {
	for _, w := range r.of {
		switch {
		case w == nil:
			return ahead
		case row < w.Rows && r.up != nil:
			return kernel.Ahead{w.front(row, aheadBytes/2), r.up.front(row, aheadBytes/2)}
		case row < w.Rows:
			return kernel.Ahead{w.front(row, aheadBytes)}
		}
		row -= w.Rows
	}
	return ahead
}

// front returns at most so many bytes from a row on.
func (m *Matrix) front(row, bytes int) []byte {
	from := row * m.rowBytes
	return m.Data[from:min(from+bytes, len(m.Data))]
}
