package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/pack"
	"siskin/model/quant"
)

// PackOptions of Pack. The zero value is useful.
type PackOptions struct {
	Output string // file to make; empty: where UsePacked looks
	Cache  string // second folder for packed files, made if absent; empty: none
	Again  bool   // make the file even if there is one that fits
	Margin int64  // bytes that must stay free on the disk; 0: 64 MiB
	// Step is called every few milliseconds with the bytes done, of those to be done; what it waits, Pack waits. May be nil.
	Step func(done, total int64)
}

// Packed is a packed file.
type Packed struct {
	Path  string
	Bytes int64
	Parts int  // matrices in it
	Made  bool // by this call; else it was there
}

// Pack makes the packed file of the model at path for the kernels of set: beside the model, or in the cache folder where the
// model's folder cannot be written to. It appears complete or not at all. Errors: ErrNoPacking; ErrNoSpace; ErrBusy if
// another process is making it; those of the model; context.Canceled and the like.
func Pack(ctx context.Context, path string, set *kernel.Set, opt PackOptions) (Packed, error) {
	m, err := model.Open(path)
	if err != nil {
		return Packed{}, err
	}
	parts, source, err := packable(m, path, set)
	// What packing reads it reads from the file, so that one that is cut meanwhile is an error.
	if err = errors.Join(err, m.Close()); err != nil {
		return Packed{}, err
	}
	dst := opt.Output
	if dst == "" {
		if dst, err = packedDestination(path, set.Packing, opt.Cache); err != nil {
			return Packed{}, err
		}
	}
	job := pack.Job{Model: path, Packing: set.Packing, Tensors: parts, Step: func(done, total int64) error {
		if ctx.Err() != nil {
			return &Error{path, "was not packed: " + context.Cause(ctx).Error(), ctx.Err()}
		}
		if opt.Step != nil {
			opt.Step(done, total)
		}
		return nil
	}}
	out := Packed{Path: dst, Parts: len(parts)}
	if out.Bytes, err = job.Length(); err != nil {
		return Packed{}, &Error{path, "cannot be packed: " + err.Error(), err}
	}
	if !opt.Again && fits(dst, &source, set.Packing) == nil {
		return out, nil
	}
	if opt.Margin <= 0 {
		opt.Margin = defaultMargin
	}
	if err := checkSpace(filepath.Dir(dst), out.Bytes, opt.Margin); err != nil {
		return Packed{}, err
	}
	out.Made = true
	return out, packError(path, dst, pack.Create(dst, job))
}

// packError says what went wrong in the words of this package.
func packError(path, dst string, err error) error {
	var own *Error
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.Is(err, pack.ErrBusy):
		return &Error{dst, "is being made by another process: wait for it", ErrBusy}
	case errors.Is(err, pack.ErrChanged):
		return &Error{path, "changed while it was packed: pack it again", err}
	}
	return systemError(dst, "cannot be made", err)
}

// packable is what is to be packed of a model, and what identifies it.
func packable(m *model.Model, path string, set *kernel.Set) ([]pack.Part, pack.Source, error) {
	if m.Parts() > 1 {
		return nil, pack.Source{}, &Error{path, "is a split model, which runs unpacked: join its parts for a packed file (llama-gguf-split --merge)", ErrNoPacking}
	}
	parts := m.PackParts(set)
	if len(parts) == 0 {
		return nil, pack.Source{}, &Error{path, fmt.Sprintf("is as fast as it is with the kernels %s", set.Name), ErrNoPacking}
	}
	source, err := m.Source()
	if err != nil {
		return nil, source, &Error{path, "cannot be read: " + err.Error(), err}
	}
	source.SHA256 = sumBytes(recordedSum(path))
	return parts, source, nil
}

// packedPaths are the places where the packed file of a model may be: beside it, and in the cache folder, where the name
// tells models of the same name apart by their folder.
func packedPaths(path string, p quant.Packing, cache string) []string {
	paths := []string{pack.Name(path, p)}
	if cache == "" {
		return paths
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return paths // there is no working directory: then there is hardly a cache folder
	}
	folder := sha256.Sum256([]byte(filepath.Dir(whole)))
	name := fmt.Sprintf("%x-%s", folder[:4], filepath.Base(whole))
	return append(paths, filepath.Join(cache, pack.Name(name, p)))
}

// packedDestination chooses the first place that can be written to.
func packedDestination(path string, p quant.Packing, cache string) (string, error) {
	paths := packedPaths(path, p, cache)
	if writable(filepath.Dir(paths[0])) {
		return paths[0], nil
	}
	if len(paths) == 1 {
		return "", &Error{filepath.Dir(paths[0]), "may not be written to, and there is no cache folder for packed files", fs.ErrPermission}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", systemError(cache, "cannot be made", err)
	}
	return paths[1], nil
}

// fits is nil if there is a packed file at path that fits the model.
func fits(path string, source *pack.Source, p quant.Packing) error {
	return withBytes(path, func(data []byte) error {
		f, err := pack.Parse(data)
		if err == nil {
			err = f.Fits(source, p)
		}
		return err
	})
}

// UsePacked lets m, opened from path, take its matrices from its packed file for the kernels of set, where Pack puts it.
// On error the model is as it was: ErrNoPacking; fs.ErrNotExist if there is no packed file; else what is wrong with the one
// that is there, for the log.
func UsePacked(m *model.Model, path string, set *kernel.Set, cache string) error {
	_, source, err := packable(m, path, set)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range packedPaths(path, set.Packing, cache) {
		err := m.UsePacked(p, &source, set)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, fs.ErrNotExist) }); i >= 0 {
		return errs[i]
	}
	return errs[0]
}
