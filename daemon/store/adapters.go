package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"siskin/model"
	"siskin/model/lora"
)

// adapterEnding is that of the files of adapters.
const adapterEnding = ".gguf"

// Adapters is a folder of adapters; a request names a file in it without its ending.
type Adapters struct{ Dir string }

// AdaptersBeside is the folder of adapters of a model, unless another one is configured.
func AdaptersBeside(model string) string { return filepath.Join(filepath.Dir(model), "adapters") }

// path is the file of an adapter. A name is one to 64 letters, digits and - _ . : and begins with no dot, so it stays in the folder.
func (a Adapters) path(name string) (string, error) {
	const most = 64
	bad := name == "" || len(name) > most || name[0] == '.'
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		bad = bad || !letter && strings.IndexByte("-_.:", c) < 0
	}
	if bad {
		return "", &Error{name, "is no name of an adapter: 1 to 64 letters, digits and - _ . : not beginning with a dot", ErrName}
	}
	return filepath.Join(a.Dir, name+adapterEnding), nil
}

// Stamp changes when the file of an adapter is replaced; the error is fs.ErrNotExist if there is none.
func (a Adapters) Stamp(name string) (string, error) {
	path, err := a.path(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &Error{path, "is not a regular file", ErrNotModel}
	}
	return fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano()), nil
}

// Open opens an adapter.
func (a Adapters) Open(name string) (*lora.Adapter, error) {
	path, err := a.path(name)
	if err != nil {
		return nil, err
	}
	return lora.Open(path)
}

// List returns the names of the adapters, sorted. A folder that is not there is empty.
func (a Adapters) List() ([]string, error) {
	entries, err := os.ReadDir(a.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), adapterEnding); ok && e.Type().IsRegular() {
			if _, err := a.path(name); err == nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Add copies an adapter into the folder under a name; empty: that of the file. It is read first, and compared with a model if base
// is not nil. It replaces one of that name only if replace is set; who uses that goes on with the old one.
func (a Adapters) Add(source, name string, base *model.Model, replace bool) (string, error) {
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(source), adapterEnding)
	}
	path, err := a.path(name)
	if err != nil {
		return "", err
	}
	adapter, err := lora.Open(source)
	if err != nil {
		return "", err
	}
	if base != nil {
		err = base.CheckAdapter(adapter)
	}
	if err := errors.Join(err, adapter.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	if _, err := os.Lstat(path); err == nil && !replace {
		return "", &Error{path, "is there already: choose another name, or replace it", ErrExists}
	}
	if err := os.MkdirAll(a.Dir, 0o755); err != nil {
		return "", err
	}
	return path, copyWhole(source, path)
}

// copyWhole copies a file so that it appears under its name complete and on disk, or not at all.
func copyWhole(source, path string) (err error) {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close() // it was only read
	out, err := os.CreateTemp(filepath.Dir(path), ".adding-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o644), out.Sync(), out.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Remove takes an adapter out of the folder; who uses it goes on until the answer is written.
func (a Adapters) Remove(name string) error {
	path, err := a.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(a.Dir)
}
