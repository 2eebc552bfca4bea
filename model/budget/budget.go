// Package budget decides, before anything large is allocated, what fits into a number of bytes: every user of memory with
// its bound, and what gives way, in a fixed order, until the sum is within the budget. It only computes: what memory costs
// is the caller's, and so is allocating it.
package budget

import (
	"fmt"
	"strings"
)

// Kind tells how memory can be had back.
type Kind uint8

// The kinds.
const (
	Anonymous Kind = iota // only by giving it up: without swap the system cannot take it
	File                  // pages of a file, which the system takes when it needs them, and reads again
)

// String returns "anonymous" or "file".
func (k Kind) String() string {
	if k == File {
		return "file"
	}
	return "anonymous"
}

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Item is one user of memory.
type Item struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // at most
	Kind  Kind   `json:"kind"`
	// Heap: it lies in the Go heap, whose limit is the sum of such items.
	Heap bool   `json:"heap,omitempty"`
	From string `json:"from"` // where the number comes from, for people
}

// Choice is what gives way when memory is short.
type Choice struct {
	QueueBytes   int64  `json:"queue_bytes"`   // of requests that wait
	PrefillBatch int    `json:"prefill_batch"` // rows of prompt in one pass
	KV           string `json:"kv"`            // format of keys and values
	Context      int    `json:"context"`       // tokens
	// StreamedBytes of the weights are not kept in memory but read from the file in every pass.
	StreamedBytes int64 `json:"streamed_bytes"`
}

// Ask is what is wanted, and how far it may give way.
type Ask struct {
	Want Choice // without streaming
	// Formats of keys and values, the wanted one first, each smaller than the one before.
	Formats []string
	// MinQueue, MinBatch and MinContext are not gone below, unless less is wanted. A context is reduced to a multiple of ContextStep.
	MinQueue                          int64
	MinBatch, MinContext, ContextStep int
	Weights                           int64 // bytes of weights that a pass reads
	Window                            int64 // of them in memory at least when the rest is streamed
	Strict                            bool  // nothing gives way
	// Cost lists what a choice takes beside the weights. It does not get more expensive when a part of the choice gets
	// smaller. It may be called often.
	Cost func(Choice) ([]Item, error)
}

// Plan is what fits, or, in an OverBudget, what does not.
type Plan struct {
	Budget int64  `json:"budget"`
	Source string `json:"budget_from"` // for people
	Want   Choice `json:"want"`
	Choice Choice `json:"choice"`
	Items  []Item `json:"items"` // the weights included, as far as they stay in memory
	// Steps that were taken, for people, in the order in which things give way.
	Steps    []string `json:"steps"`
	Smallest int64    `json:"smallest"` // budget that works, with Ask.Strict for nothing less than what is wanted
}

// GaveWay reports whether the choice is less than what is wanted.
func (p *Plan) GaveWay() bool { return p.Choice != p.Want }

// Total is the memory of all items of the plan in bytes.
func (p *Plan) Total() int64 { return total(p.Items) }

// Sum adds up the items of one kind.
func (p *Plan) Sum(k Kind) (bytes int64) {
	for _, i := range p.Items {
		if i.Kind == k {
			bytes += i.Bytes
		}
	}
	return bytes
}

// Heap is what the Go heap may have, in bytes.
func (p *Plan) Heap() (bytes int64) {
	for _, i := range p.Items {
		if i.Heap {
			bytes += i.Bytes
		}
	}
	return bytes
}

// Bytes of the item of that name; 0 if there is none.
func (p *Plan) Bytes(name string) int64 {
	for _, i := range p.Items {
		if i.Name == name {
			return i.Bytes
		}
	}
	return 0
}

// Weights is the name of the item of the weights.
const Weights = "weights"

// OverBudget is the error of Fit when nothing fits: Plan is the smallest that there is.
type OverBudget struct {
	Plan   Plan
	Need   int64
	Have   int64
	Strict bool
}

// Error says what is needed, with the whole plan: one line for each item.
func (e *OverBudget) Error() string {
	var b strings.Builder
	what := "the smallest budget that works"
	if e.Strict {
		what = "without giving way the smallest budget that works"
	}
	fmt.Fprintf(&b, "memory budget %s (%s): %s is %s", MiB(e.Have), e.Plan.Source, what, MiB(e.Need))
	for _, i := range e.Plan.Items {
		fmt.Fprintf(&b, "\n  %-20s %10s  %-9s  %s", i.Name, MiB(i.Bytes), i.Kind, i.From)
	}
	for _, s := range e.Plan.Steps {
		fmt.Fprintf(&b, "\n  with: %s", s)
	}
	return b.String()
}

// MiB writes bytes for people.
func MiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func total(items []Item) (bytes int64) {
	for _, i := range items {
		bytes += i.Bytes
	}
	return bytes
}
