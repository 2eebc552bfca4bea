package model

import (
	"siskin/model/mapfile"
	"siskin/model/quant"
	"siskin/model/stream"
)

// streaming is what a state knows of weights that do not stay in memory. The layers are units, and parts of the output matrix,
// which is as large as many layers.
type streaming struct {
	reader   *stream.Reader // nil: all weights stay
	resident int64          // bytes of units that stay, the first ones of a pass
	window   int            // units
	first    int            // unit that is read again in every pass; those before it stay
	parts    []Matrix       // of the output matrix
	mapping  *mapfile.File  // that the units are of
}

// Stream keeps only about resident bytes of weights in memory from now on, with a window of so many layers that are under way or
// read ahead counted in. The reader that it returns reads ahead while its Run does; nil if all stay. No pass may be under way.
func (s *State) Stream(resident int64, window int) *stream.Reader {
	if len(s.model.mappings) == 0 {
		return nil // the weights are not those of a file
	}
	s.stream = streaming{resident: resident, window: window}
	units, keep := s.stream.divide(s.model)
	if len(units) == 0 {
		s.stream = streaming{}
		return nil
	}
	s.stream.reader = stream.New(units, keep, window)
	return s.stream.reader
}

// partBytes is how large the parts of the output matrix are if nothing else is streamed: what waits in the window costs as much
// reading as what is missing.
const partBytes = 512 << 10

// divide finds the units, and returns those that do not stay, and the places of those that do.
func (t *streaming) divide(m *Model) (units []stream.Unit, keep []stream.Span) {
	t.mapping = m.mappings[0]
	if units, keep = t.divideBy(m, partBytes); t.first < len(m.Weights.Layers) {
		units, keep = t.divideBy(m, 0)
	}
	return units, keep
}

// divideBy is divide with parts of the output matrix of so many bytes, or, with 0, as large as the largest layer.
func (t *streaming) divideBy(m *Model, part int64) (units []stream.Unit, keep []stream.Span) {
	var all []stream.Unit
	largest := part
	for i := range m.Weights.Layers {
		l := &m.Weights.Layers[i]
		unit := stream.Unit{Drop: m.spans(l.matrices()), Load: m.spans(l.ReadByToken(&m.Config))}
		if l.Experts != nil {
			unit.Load = nil // which experts is only known in the pass
		}
		if part == 0 {
			largest = max(largest, unit.Bytes())
		}
		all = append(all, unit)
	}
	out := &m.Weights.Output
	t.parts = t.parts[:0]
	rows := out.Rows
	if largest > 0 {
		const align = max(quant.PackRows, chunkAlign)
		rows = max(align, int(largest)/out.rowBytes/align*align)
	}
	for from := 0; from < out.Rows; from += rows {
		part := out.part(from, min(from+rows, out.Rows))
		part.packed = max(0, min(out.packed-from, part.Rows))
		t.parts = append(t.parts, part)
		spans := m.spans([]*Matrix{&part})
		all = append(all, stream.Unit{Load: spans, Drop: spans})
	}
	stay := t.resident - int64(t.window)*largest
	for t.first = 0; t.first < len(all); t.first++ {
		if stay -= all[t.first].Bytes(); stay < 0 {
			break
		}
		keep = append(keep, all[t.first].Drop...)
	}
	return all[t.first:], keep
}

// spans are the places of matrices in the files; those that touch are one.
func (m *Model) spans(matrices []*Matrix) (out []stream.Span) {
	for _, w := range matrices {
		for _, f := range m.files() {
			off, ok := f.Offset(w.Data)
			if !ok {
				continue
			}
			span := stream.Span{File: f, Off: off, Len: int64(len(w.Data))}
			if n := len(out); n > 0 && out[n-1].File == f && out[n-1].Off+out[n-1].Len == off {
				out[n-1].Len += span.Len
			} else {
				out = append(out, span)
			}
			break
		}
	}
	return out
}

// begin is called before each pass: the files may have been replaced, or the pass before may have failed.
func (t *streaming) begin(m *Model) {
	if t.reader == nil {
		return
	}
	if t.mapping != m.mappings[0] {
		t.reader.Reset(t.divide(m))
	}
}

// need and done stand around the use of a unit; end behind the last one of a pass.
func (t *streaming) need(unit int) {
	if t.reader != nil && unit >= t.first {
		t.reader.Need(unit - t.first)
	}
}

func (t *streaming) done(unit int) {
	if t.reader != nil && unit >= t.first {
		t.reader.Done(unit - t.first)
	}
}

func (t *streaming) end() {
	if t.reader != nil {
		t.reader.End()
	}
}

// fetch reads row i of the embedding if it may be away: a fault would read far more around it. A failure is left to the fault.
func (t *streaming) fetch(model *Model, m *Matrix, i int) {
	if t.reader == nil {
		return
	}
	data, _ := m.holding(i)
	for _, span := range model.spans([]*Matrix{{Data: data}}) {
		_ = span.File.Fetch(span.Off, span.Len)
	}
}

// multiplyOutput computes the logits of the rows, part by part where the output matrix does not stay in memory.
func (s *State) multiplyOutput(in input, out product) {
	t := &s.stream
	if t.reader == nil || len(t.parts) < 2 {
		s.multiply(in, out)
		return
	}
	from, layers := 0, len(s.model.Weights.Layers)
	for i := range t.parts {
		part := out
		part.w, part.dst, part.stride = &t.parts[i], out.dst[from:], out.w.Rows
		t.need(layers + i)
		s.multiply(in, part)
		t.done(layers + i)
		from += t.parts[i].Rows
		in = input{x: s.phase.x, cols: in.cols, refined: in.refined, ready: true}
	}
}
