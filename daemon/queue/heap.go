package queue

import "container/heap"

// heapOf is a binary heap of items that know their place in it, so that any of them can be removed.
type heapOf struct {
	items  []*item
	before func(a, b *item) bool
	index  func(*item) *int
}

func (h *heapOf) push(i *item)   { heap.Push(h, i) }
func (h *heapOf) remove(i *item) { heap.Remove(h, *h.index(i)) }

// Len is of heap.Interface, as are the methods below.
func (h *heapOf) Len() int { return len(h.items) }

// Less tells whether item a belongs above item b.
func (h *heapOf) Less(a, b int) bool { return h.before(h.items[a], h.items[b]) }

// Swap exchanges two items.
func (h *heapOf) Swap(a, b int) {
	h.items[a], h.items[b] = h.items[b], h.items[a]
	*h.index(h.items[a]), *h.index(h.items[b]) = a, b
}

// Push appends an *item.
func (h *heapOf) Push(x any) {
	i := x.(*item)
	*h.index(i) = len(h.items)
	h.items = append(h.items, i)
}

// Pop removes the last item.
func (h *heapOf) Pop() any {
	n := len(h.items) - 1
	i := h.items[n]
	h.items[n] = nil
	h.items = h.items[:n]
	return i
}
