package model

import (
	"errors"
	"fmt"

	"siskin/model/kernel"
	"siskin/model/mapfile"
	"siskin/model/pack"
	"siskin/model/quant"
)

// PackParts lists the matrices that are faster packed with the kernels of set, in the order in which a pass reads them;
// none where packing does not pay, and of a split model, which has no one file to pack. An embedding that is not the output matrix too is left out: a pass reads one row of it.
func (m *Model) PackParts(set *kernel.Set) []pack.Part {
	if m.Parts() > 1 {
		return nil
	}
	var names []string
	shared := make(map[string]bool) // tensors of which not every matrix is whole groups
	add := func(w *Matrix) {
		if len(names) == 0 || names[len(names)-1] != w.Name {
			names = append(names, w.Name)
		}
		shared[w.Name] = shared[w.Name] || !w.wholeGroups()
	}
	if in := m.Weights.LayerInputs; in != nil {
		add(&in.Project)
	}
	for i := range m.Weights.Layers {
		for _, w := range m.Weights.Layers[i].matrices() {
			add(w)
		}
	}
	add(&m.Weights.Output)
	return m.partsOf(names, shared, set)
}

// partsOf makes the parts of the tensors names, each once.
func (m *Model) partsOf(names []string, skip map[string]bool, set *kernel.Set) []pack.Part {
	var parts []pack.Part
	for _, name := range names {
		if skip[name] {
			continue
		}
		skip[name] = true
		t, _ := m.file.Tensor(name) // it is there: a matrix was made of it
		if rows := t.Rows(); set.Packed(t.Type) != nil && t.Type.Packable() && rows >= quant.PackRows {
			parts = append(parts, pack.Part{Name: name, Type: t.Type, Rows: rows, Cols: t.Dims[0], Offset: t.Offset})
		}
	}
	return parts
}

// Source identifies the model file as far as that is possible without reading all of it; the sum is zero. Only a model from
// Open has one.
func (m *Model) Source() (pack.Source, error) {
	if len(m.mappings) != 1 {
		return pack.Source{}, errors.New("the model is not of one file")
	}
	s := pack.Source{Size: m.mappings[0].Size(), ModTime: m.mappings[0].ModTime().UnixNano()}
	var err error
	s.Stamp, err = m.stamp()
	return s, err
}

// UsePacked takes the matrices that the packed file at path has from there, for the kernels of set. source is that of Source,
// with the sum of the model file if that is known. No State of the model may have been made yet. On error the model is as
// it was, and as good, only slower: pack.ErrStale, pack.ErrDamaged, those of mapfile.
func (m *Model) UsePacked(path string, source *pack.Source, set *kernel.Set) error {
	if m.packed != nil {
		return fmt.Errorf("%s: the model has a packed file already", path)
	}
	mapping, err := mapfile.Open(path)
	if err != nil {
		return err
	}
	if err := m.adopt(mapping.Bytes(), source, set); err != nil {
		return fmt.Errorf("%s: %w", path, closing(mapping, err))
	}
	m.packed = mapping
	return nil
}

// adopt checks all of a packed file before it changes the first matrix.
func (m *Model) adopt(data []byte, source *pack.Source, set *kernel.Set) error {
	f, err := pack.Parse(data)
	if err != nil {
		return err
	}
	if err := f.Fits(source, set.Packing); err != nil {
		return err
	}
	parts := make(map[string]pack.Tensor)
	for _, p := range m.PackParts(set) {
		t, ok := f.Tensor(p.Name)
		if !ok {
			return fmt.Errorf("%w: it has no tensor %s", pack.ErrStale, p.Name)
		}
		if t.Type != p.Type || t.Rows != p.Rows || t.Cols != p.Cols {
			return fmt.Errorf("%w: its tensor %s has %d rows of %d columns of %v", pack.ErrStale, p.Name, t.Rows, t.Cols, t.Type)
		}
		parts[p.Name] = t
	}
	m.Weights.matrices(func(w *Matrix) {
		if t, ok := parts[w.Name]; ok {
			w.Data = t.Data[w.first*w.rowBytes:][:w.Rows*w.rowBytes]
			w.packing, w.packed = f.Packing, max(0, min(t.Interleaved-w.first, w.Rows))
		}
	})
	return nil
}

// Packed returns the path of the packed file in use, or "".
func (m *Model) Packed() string {
	if m.packed == nil {
		return ""
	}
	return m.packed.Path()
}
