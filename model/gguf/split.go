package gguf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// PartNames are the names of all parts of a split model, from a text with the name of one of them in it, such as an address:
// NAME-00001-of-00003.gguf. nil if there is none, or no split model has such numbers.
func PartNames(text string) []string {
	m := regexp.MustCompile(`-(\d{5})-of-(\d{5})\.gguf`).FindStringSubmatchIndex(text)
	if m == nil {
		return nil
	}
	no, err1 := strconv.Atoi(text[m[2]:m[3]])
	count, err2 := strconv.Atoi(text[m[4]:m[5]])
	if err1 != nil || err2 != nil || count < 2 || count > maxParts || no < 1 || no > count {
		return nil
	}
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%05d%s", text[:m[0]], i+1, text[m[3]:])
	}
	return names
}

// PartPaths are PartNames of a file, in its folder; nil if its name goes on behind the form.
func PartPaths(path string) []string {
	names := PartNames(filepath.Base(path))
	if !strings.HasSuffix(path, fmt.Sprintf("-of-%05d.gguf", len(names))) {
		return nil
	}
	for i, name := range names {
		names[i] = filepath.Join(filepath.Dir(path), name)
	}
	return names
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
