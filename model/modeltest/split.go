package modeltest

import (
	"fmt"
	"slices"
)

// Split returns the model as parts of about as many tensors each, the metadata in the first, as gguf-split writes them, with the
// name of each.
func (m Tiny) Split(count int) (names []string, files [][]byte) {
	tensors := m.Tensors()
	for i := range count {
		kvs := []KV{
			{"split.no", uint16(i)}, {"split.count", uint16(count)}, {"split.tensors.count", int32(len(tensors))},
		}
		if i == 0 {
			kvs = append(slices.Clone(m.KVs()), kvs...)
		}
		names = append(names, fmt.Sprintf("tiny-%05d-of-%05d.gguf", i+1, count))
		files = append(files, Bytes(kvs, tensors[i*len(tensors)/count:(i+1)*len(tensors)/count]))
	}
	return names, files
}
