// Package model runs a language model from a mapped GGUF file: Config is its shape, Weights its tensors in the mapping, or
// in that of a packed file (UsePacked), State everything that a pass writes. Forward takes rows of (sequence, position, token) of any number of sequences.
//
// The package knows no tokenizer, no MQTT, no clock and no configuration file, and starts no goroutine: kernels and
// workers are handed to NewState.
package model

import (
	"errors"
	"fmt"

	"siskin/model/gguf"
	"siskin/model/mapfile"
)

// Model is an open model. Its methods may be called from any goroutine; the weights are read only.
type Model struct {
	Config  Config
	Weights Weights

	file     *gguf.File
	data     []byte          // the file, the first part of a split model
	mappings []*mapfile.File // all parts; none when the bytes were given by the caller
	packed   *mapfile.File   // nil unless a packed file is in use
}

// Open maps the file and checks everything in it that the forward pass relies on. Of a split model any part may be named; the
// others lie beside it. The file must not be changed while it is open: replace it by renaming another one over it.
func Open(path string) (*Model, error) {
	mappings, file, err := openFiles(path)
	if err != nil {
		return nil, err
	}
	m, err := build(file, mappings[0].Bytes())
	if err != nil {
		for _, f := range mappings {
			err = closing(f, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.mappings = mappings
	return m, nil
}

// closing unmaps after a failure; the first error is the one that matters.
func closing(mapping *mapfile.File, err error) error {
	if closeErr := mapping.Close(); closeErr != nil {
		return fmt.Errorf("%w (and unmapping failed: %w)", err, closeErr)
	}
	return err
}

// Parse opens a model whose file is already in memory; data must stay as it is while the model is used.
func Parse(data []byte) (*Model, error) {
	f, err := gguf.Parse(data)
	if err != nil {
		return nil, err
	}
	part, split, err := f.Part()
	if err != nil {
		return nil, err
	}
	if split {
		return nil, fmt.Errorf("part %d of %d of a split model, of which all are needed: %w", part.No+1, part.Count, ErrBadModel)
	}
	return build(f, data)
}

func build(f *gguf.File, data []byte) (*Model, error) {
	config, fam, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	weights, err := readWeights(f, &config, fam)
	if err != nil {
		return nil, err
	}
	return &Model{Config: config, Weights: weights, file: f, data: data}, nil
}

// File returns the parsed container, for the tokenizer and the chat template in its metadata. It is valid until Close.
func (m *Model) File() *gguf.File { return m.file }

// FileBytes returns the size of the file, or of all parts.
func (m *Model) FileBytes() int64 {
	total := int64(len(m.data))
	for _, f := range m.mappings[min(1, len(m.mappings)):] {
		total += f.Size()
	}
	return total
}

// WeightBytes returns the bytes of weights that one decoded token reads: every matrix once, the embedding only where it
// is the output matrix too, of experts as many as it goes through.
func (m *Model) WeightBytes() int64 {
	total := int64(len(m.Weights.Output.Data))
	if in := m.Weights.LayerInputs; in != nil {
		total += int64(len(in.Project.Data))
	}
	for i := range m.Weights.Layers {
		for _, w := range m.Weights.Layers[i].ReadByToken(&m.Config) {
			total += int64(len(w.Data))
		}
	}
	return total
}

// WindowBytes returns the weights of so many layers, the largest of the model.
func (m *Model) WindowBytes(layers int) int64 {
	var largest int64
	for i := range m.Weights.Layers {
		var bytes int64
		for _, w := range m.Weights.Layers[i].matrices() {
			bytes += int64(len(w.Data))
		}
		largest = max(largest, bytes)
	}
	return int64(min(layers, len(m.Weights.Layers))) * largest
}

// Close unmaps the files; the model and every State of it must no longer be used. It may be called again.
func (m *Model) Close() error {
	var errs []error
	for _, f := range m.files() {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
