package value

import "fmt"

// Limits bounds what one render may use.
type Limits struct {
	Steps int64 // evaluated nodes, elements looked at, 64-byte pieces scanned
	Bytes int64 // bytes ever allocated for strings, lists and dicts; what is freed again counts too
}

// LimitError says that a template asked for more than it may use.
type LimitError struct {
	What  string // "steps", "memory", "output", "recursion", ...
	Limit int64
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("template stopped: more than the allowed %s (limit %d)", e.What, e.Limit)
}

// MaxDepth bounds the nesting of values that are printed, compared or iterated.
const MaxDepth = 200

// elementBytes is what a list element or dict entry is charged, in bytes: two words of interface and about as much of what
// it points to.
const elementBytes = 48

// Meter counts down the limits of one render. It is not safe for use by several goroutines.
type Meter struct {
	limits       Limits
	steps, bytes int64 // left
	depth        int   // of nested calls that recurse on values
}

// NewMeter gives a full meter.
func NewMeter(l Limits) *Meter { return &Meter{limits: l, steps: l.Steps, bytes: l.Bytes} }

// Step charges n steps.
func (m *Meter) Step(n int) error {
	m.steps -= int64(n)
	if m.steps < 0 {
		return &LimitError{"steps", m.limits.Steps}
	}
	return nil
}

// Scan charges a pass over n bytes.
func (m *Meter) Scan(n int) error { return m.Step(n/64 + 1) }

// Alloc charges n new bytes, before they are allocated.
func (m *Meter) Alloc(n int) error {
	if n < 0 || int64(n) > m.bytes {
		m.bytes = 0
		return &LimitError{"bytes of memory", m.limits.Bytes}
	}
	m.bytes -= int64(n)
	return m.Scan(n)
}

// Elements charges n new elements of a list or dict.
func (m *Meter) Elements(n int) error {
	if n < 0 || n > 1<<40 {
		n = 1 << 40
	}
	return m.Alloc(n * elementBytes)
}

// enter is called by functions that recurse on values; leave undoes it.
func (m *Meter) enter() error {
	m.depth++
	if m.depth > MaxDepth {
		m.depth--
		return &LimitError{"nesting of values", MaxDepth}
	}
	return nil
}

func (m *Meter) leave() { m.depth-- }
