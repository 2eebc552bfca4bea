package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Key is what a result depends on: measured anew where any of it differs.
type Key struct {
	Path     string `json:"path"`     // of the model, absolute
	Size     int64  `json:"size"`     // of the model's file, in bytes
	Modified int64  `json:"modified"` // nanoseconds since 1970
	Kernels  string `json:"kernels"`
	CPU      string `json:"cpu"`
	Threads  int    `json:"threads"` // the most that there may be
	Version  string `json:"version"` // of the program
}

// KeyOf returns the key of a model's file.
func KeyOf(path, kernels, cpu string, threads int, version string) (Key, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Key{}, err
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return Key{}, err
	}
	return Key{
		Path: absolute, Size: info.Size(), Modified: info.ModTime().UnixNano(),
		Kernels: kernels, CPU: cpu, Threads: threads, Version: version,
	}, nil
}

const (
	// fileName of the cache in the folder of the program's state.
	fileName = "threads.json"
	// maxEntries of the cache; the oldest goes.
	maxEntries = 32
	// maxFileBytes is the size of a file that is read: more than all entries of a cache need.
	maxFileBytes = 1 << 18
)

// entry is one result in the file, which is a JSON array of them, the oldest first.
type entry struct {
	Key    Key    `json:"key"`
	Result Result `json:"result"`
}

// Load returns the result for a key from the cache in a folder. A cache that is damaged or not one holds nothing.
func Load(folder string, key Key) (Result, bool) {
	for _, e := range load(folder) {
		if e.Key == key && e.Result.fits(key.Threads) {
			return e.Result, true
		}
	}
	return Result{}, false
}

// fits tells whether a result is possible for so many threads.
func (r *Result) fits(threads int) bool {
	return r.Decode >= 1 && r.Decode <= threads && r.Prefill >= 1 && r.Prefill <= threads
}

func load(folder string) []entry {
	f, err := os.Open(filepath.Join(folder, fileName))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil || len(data) > maxFileBytes {
		return nil
	}
	var entries []entry
	if json.Unmarshal(data, &entries) != nil {
		return nil
	}
	return entries
}

// Save puts a result into the cache in a folder, which is made if absent. What was there for the same model and program
// on this machine goes. The file is replaced at once, so others read the old or the new one.
func Save(folder string, key Key, r Result) (err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("thread counts: %w", err)
	}
	entries := slices.DeleteFunc(load(folder), func(e entry) bool {
		return e.Key.Path == key.Path && e.Key.Kernels == key.Kernels && e.Key.Threads == key.Threads
	})
	entries = append(entries, entry{key, r})
	data, err := json.MarshalIndent(entries[max(0, len(entries)-maxEntries):], "", "  ")
	if err != nil {
		return fmt.Errorf("thread counts: %w", err)
	}
	f, err := os.CreateTemp(folder, fileName+".*")
	if err != nil {
		return fmt.Errorf("thread counts: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, fileName))
	}
	if err != nil {
		return fmt.Errorf("thread counts: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
