package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"siskin/model/pack"
)

// PackedInfo is what is known of a packed file beside a model.
type PackedInfo struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`              // bytes
	Unit    int    `json:"unit"`              // of its interleaving, in bytes
	Problem string `json:"problem,omitempty"` // why it is not used: damaged, or of another model; empty: it fits
}

// packedNames lists the finished packed files beside a model.
func packedNames(path string) []string {
	items, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // whoever asks has just read the model, so there is nothing new to tell
	}
	var out []string
	for _, item := range items {
		if strings.HasPrefix(item.Name(), filepath.Base(path)+".packed-") && filepath.Ext(item.Name()) != ".tmp" {
			out = append(out, filepath.Join(filepath.Dir(path), item.Name()))
		}
	}
	return out
}

// packedOf tells the packed files beside a model.
func packedOf(path string) []PackedInfo {
	source, err := sourceOf(path)
	var out []PackedInfo
	for _, name := range packedNames(path) {
		out = append(out, packedInfo(name, func(f *pack.File) error {
			if err != nil {
				return err
			}
			return f.Fits(&source, f.Packing)
		}))
	}
	return out
}

// packedInfo looks at one packed file; check says what is wrong with it.
func packedInfo(name string, check func(*pack.File) error) PackedInfo {
	info := PackedInfo{Path: name}
	err := withBytes(name, func(data []byte) error {
		info.Size = int64(len(data))
		f, err := pack.Parse(data)
		if err != nil {
			return err
		}
		info.Unit = f.Packing.Unit
		return check(f)
	})
	if err != nil {
		info.Problem = strings.TrimPrefix(err.Error(), name+": ")
	}
	return info
}

// sourceOf identifies the model file at path.
func sourceOf(path string) (s pack.Source, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, systemError(path, "cannot be read", err)
	}
	defer f.Close() // read-only
	info, err := f.Stat()
	if err != nil {
		return s, systemError(path, "cannot be read", err)
	}
	s.Size, s.ModTime = info.Size(), info.ModTime().UnixNano()
	s.SHA256 = sumBytes(recordedSum(path))
	if s.Stamp, err = pack.Stamp(f, s.Size); err != nil {
		return s, systemError(path, "cannot be read", err)
	}
	return s, nil
}

// sumBytes is a sum in hexadecimal as bytes, zeros if it is none.
func sumBytes(sum string) (out [32]byte) {
	if b, err := hex.DecodeString(sum); err == nil {
		copy(out[:], b)
	}
	return out
}

// Verified is what Verify found.
type Verified struct {
	SHA256   string       // of the model
	Recorded bool         // it was recorded when the model was pulled, and is the same
	Packed   []PackedInfo // with all their data checked
}

// Verify reads all of a model and of the packed files beside it. It calls step, if that is not nil, with the bytes done, of
// those of the file that is being read. Errors: ErrSum if the model is not what was pulled; those of the system. A packed
// file that is damaged, or of another model, has a Problem.
func Verify(ctx context.Context, path string, step func(done, total int64)) (v Verified, err error) {
	if v.SHA256, err = hashFile(ctx, path); err != nil {
		return v, err
	}
	if recorded := recordedSum(path); recorded != "" {
		if recorded != v.SHA256 {
			return v, &Error{path, fmt.Sprintf("has the SHA-256 %s, but %s was pulled: it is damaged, pull it again", v.SHA256, recorded), ErrSum}
		}
		v.Recorded = true
	}
	for _, name := range packedNames(path) {
		v.Packed = append(v.Packed, packedInfo(name, func(f *pack.File) error {
			if f.Source.SHA256 != sumBytes(v.SHA256) {
				return fmt.Errorf("%w: it was made of another model file", pack.ErrStale)
			}
			return f.Verify(func(done int64) error {
				if step != nil {
					step(done, f.Length())
				}
				return ctx.Err()
			})
		}))
		if ctx.Err() != nil {
			return v, &Error{path, "was not checked: " + context.Cause(ctx).Error(), ctx.Err()}
		}
	}
	return v, nil
}

// removeStale removes the packed files beside a model that has just been put in place, unless they fit it. A daemon that has
// one mapped keeps it until it ends.
func removeStale(path string) error {
	var errs []error
	for _, p := range packedOf(path) {
		if p.Problem == "" {
			continue
		}
		if err := os.Remove(p.Path); err != nil {
			errs = append(errs, systemError(p.Path, "cannot be removed", err))
		}
	}
	return errors.Join(errs...)
}
