package model

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"siskin/model/gguf"
	"siskin/model/mapfile"
	"siskin/model/pack"
)

// openFiles maps the file at path and, if it is a part of a split model, all the others, which lie beside it: in order, the first
// one first, whichever part was named. On error nothing is left open.
func openFiles(path string) (files []*mapfile.File, whole *gguf.File, err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	named, err := mapfile.Open(path)
	if err != nil {
		return nil, nil, err
	}
	files = append(files, named)
	first, err := gguf.Parse(named.Bytes())
	if err != nil {
		return files, nil, fmt.Errorf("%s: %w", path, err)
	}
	part, split, err := first.Part()
	if err != nil {
		return files, nil, fmt.Errorf("%s: %w", path, err)
	}
	if !split {
		return files, first, nil
	}
	paths := gguf.PartPaths(path)
	if len(paths) != part.Count {
		return files, nil, fmt.Errorf("%s: it is part %d of %d of a split model: give all parts their names back, NAME-%05d-of-%05d.gguf, in one folder: %w",
			path, part.No+1, part.Count, part.No+1, part.Count, ErrBadModel)
	}
	files = files[:0]
	parts := make([]*gguf.File, part.Count)
	for i, p := range paths {
		if filepath.Clean(p) == filepath.Clean(path) {
			files, parts[i], named = append(files, named), first, nil
			continue
		}
		f, err := mapfile.Open(p)
		if err != nil {
			return appendOpen(files, named), nil, fmt.Errorf("part %d of %d of a split model: %w", i+1, part.Count, err)
		}
		files = append(files, f)
		if parts[i], err = gguf.Parse(f.Bytes()); err != nil {
			return appendOpen(files, named), nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	if whole, err = gguf.Join(parts); err != nil {
		return files, nil, fmt.Errorf("%s: %w", path, err)
	}
	return files, whole, nil
}

// appendOpen adds the file that was named, if its turn has not come yet.
func appendOpen(files []*mapfile.File, named *mapfile.File) []*mapfile.File {
	if named == nil {
		return files
	}
	return append(files, named)
}

// Parts is the number of files of the model, more than one if it is split.
func (m *Model) Parts() int { return max(1, len(m.mappings)) }

// files are all mapped files of the model, the packed one first.
func (m *Model) files() []*mapfile.File {
	if m.packed == nil {
		return m.mappings
	}
	return append([]*mapfile.File{m.packed}, m.mappings...)
}

// stamp identifies the contents of the model's files, see pack.Stamp: of a split model it is the SHA-256 of the stamps of all parts.
func (m *Model) stamp() ([sha256.Size]byte, error) {
	if m.Parts() == 1 {
		return pack.Stamp(bytes.NewReader(m.data), int64(len(m.data)))
	}
	var all []byte
	for _, f := range m.mappings {
		s, err := pack.Stamp(bytes.NewReader(f.Bytes()), f.Size())
		if err != nil {
			return s, err
		}
		all = append(all, s[:]...)
	}
	return sha256.Sum256(all), nil
}
