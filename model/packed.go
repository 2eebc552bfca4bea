package model

import (
	"bytes"
	"errors"
	"fmt"

	"siskin/model/kernel"
	"siskin/model/mapfile"
	"siskin/model/pack"
	"siskin/model/quant"
)

// PackParts lists the matrices that are faster packed with the kernels of set, in the order in which a pass reads them;
// none where packing does not pay. An embedding that is not the output matrix too is left out: a pass reads one row of it.
func (m *Model) PackParts(set *kernel.Set) []pack.Part {
	var parts []pack.Part
	add := func(w *Matrix) {
		if set.Packed(w.Type) == nil || !w.Type.Packable() || w.Rows < quant.PackRows {
			return
		}
		t, _ := m.file.Tensor(w.Name) // it is there: w was made of it
		parts = append(parts, pack.Part{Name: w.Name, Type: w.Type, Rows: w.Rows, Cols: w.Cols, Offset: t.Offset})
	}
	for i := range m.Weights.Layers {
		for _, w := range m.Weights.Layers[i].matrices() {
			add(w)
		}
	}
	add(&m.Weights.Output)
	return parts
}

// Source identifies the model file as far as that is possible without reading all of it; the sum is zero. Only a model from
// Open has one.
func (m *Model) Source() (pack.Source, error) {
	if m.mapping == nil {
		return pack.Source{}, errors.New("the model is not of a file")
	}
	s := pack.Source{Size: m.mapping.Size(), ModTime: m.mapping.ModTime().UnixNano()}
	var err error
	s.Stamp, err = pack.Stamp(bytes.NewReader(m.mapping.Bytes()), s.Size)
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
			w.Data, w.packing, w.packed = t.Data, f.Packing, t.Interleaved
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
