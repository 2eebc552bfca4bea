package model

import (
	"context"

	"siskin/model/stream"
)

// populateBytes is how much one call maps, 20 us from the page cache: whoever wants to map memory, such as the heap, waits so long.
const populateBytes = 1 << 20

// Populate maps all weights of layers and of the output matrix, in the order in which a pass reads them, until ctx ends, and
// returns at once a channel that is closed when that is done. The first pass would map them by page faults, 16 pages each: 1,640
// faults for 96 MB. It is for who keeps all weights in memory; of those that cannot be read nothing is said, the pass will.
func (m *Model) Populate(ctx context.Context) <-chan struct{} {
	var all []*Matrix
	for i := range m.Weights.Layers {
		all = append(all, m.Weights.Layers[i].matrices()...)
	}
	spans, done := m.spans(append(all, &m.Weights.Output)), make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range spans {
			if !populate(ctx, s) {
				return
			}
		}
	}()
	return done
}

// populate reports whether all of s is mapped.
func populate(ctx context.Context, s stream.Span) bool {
	for at := int64(0); at < s.Len; at += populateBytes {
		if ctx.Err() != nil || s.File.Populate(s.Off+at, min(populateBytes, s.Len-at)) != nil {
			return false
		}
	}
	return true
}
