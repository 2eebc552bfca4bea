package session

import "fmt"

// Broken says what in the cache does not fit the slots and their answers; "" is nothing. It belongs to the goroutine of
// the engine, between passes.
func (e *Engine) Broken() string {
	for i := range e.slots {
		s := &e.slots[i]
		if n := e.State.Cache.Len(s.seq); n != len(s.tokens) {
			return fmt.Sprintf("slot %d: %d positions in the cache for %d tokens", i, n, len(s.tokens))
		}
		if s.job == nil || s.job.usage.CompletionTokens == 0 {
			continue
		}
		// The last token of an answer has not been run yet.
		if want := len(s.job.prompt) + s.job.usage.CompletionTokens - 1; len(s.tokens) != want {
			return fmt.Sprintf("slot %d: %d tokens for an answer that is at %d", i, len(s.tokens), want)
		}
	}
	return ""
}
