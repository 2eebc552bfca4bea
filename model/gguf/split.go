package gguf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// maxParts bounds the files of a split model: five digits are what names have room for, and nobody has a thousand.
const maxParts = 1000

// Part is the place of a file in a split model (llama.cpp, gguf-split: split.no, split.count, split.tensors.count).
type Part struct {
	No, Count int // No from 0
	Tensors   int // of all parts together; -1: not said
}

// Part tells which part of a split model the file is; false for a whole one. Errors are *Error.
func (f *File) Part() (p Part, split bool, err error) {
	count, ok := f.Uint("split.count")
	if !ok || count <= 1 {
		return Part{}, false, nil
	}
	no, ok := f.Uint("split.no")
	if !ok || no >= count || count > maxParts {
		return Part{}, false, &Error{0, fmt.Sprintf("split.no is %d and split.count %d: parts count from 0, and there are at most %d", no, count, maxParts)}
	}
	p = Part{No: int(no), Count: int(count), Tensors: -1}
	if n, ok := f.Int("split.tensors.count"); ok {
		p.Tensors = int(n)
	}
	return p, true, nil
}

// PartPaths are the paths of all parts of a split model, from that of any part: NAME-00001-of-00003.gguf. False if the path has
// not that form, or another number of parts.
func PartPaths(path string, count int) ([]string, bool) {
	m := regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`).FindStringSubmatch(filepath.Base(path))
	if m == nil || count < 1 || count > maxParts || m[3] != fmt.Sprintf("%05d", count) {
		return nil, false
	}
	paths := make([]string, count)
	for i := range paths {
		paths[i] = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i+1, m[3]))
	}
	return paths, true
}

// PartCount reads the number of parts from the name of a part; 0 if it is none.
func PartCount(name string) int {
	m := regexp.MustCompile(`-\d{5}-of-(\d{5})\.gguf$`).FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > maxParts {
		return 0
	}
	return n
}

// Join makes one file of the parts of a split model, in order: the metadata of the first, the tensors of all, in place. Offsets are
// those in the tensor's own part. Errors are *Error and say which part is wrong.
func Join(parts []*File) (*File, error) {
	whole := *parts[0]
	whole.tensors, whole.tenIndex = nil, make(map[string]int)
	for i, f := range parts {
		p, split, err := f.Part()
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
		if !split || p.No != i || p.Count != len(parts) {
			return nil, &Error{0, fmt.Sprintf("the file in the place of part %d of %d says that it is part %d of %d", i+1, len(parts), p.No+1, max(p.Count, 1))}
		}
		for _, t := range f.tensors {
			if _, twice := whole.tenIndex[t.Name]; twice {
				return nil, &Error{0, fmt.Sprintf("tensor %s is in two parts, the second time in part %d", quoted(t.Name), i+1)}
			}
			whole.tenIndex[t.Name] = len(whole.tensors)
			whole.tensors = append(whole.tensors, t)
		}
	}
	if p, _, _ := parts[0].Part(); p.Tensors >= 0 && p.Tensors != len(whole.tensors) {
		return nil, &Error{0, fmt.Sprintf("the parts have %d tensors together, split.tensors.count says %d: parts of different models are mixed",
			len(whole.tensors), p.Tensors)}
	}
	return &whole, nil
}
