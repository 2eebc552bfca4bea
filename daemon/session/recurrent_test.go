package session_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/draft"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/mqtt/message"
)

// Models with recurrent layers, which cannot go back to any position, answer conversations, repeated prompts and prompts that share
// a beginning as an engine does that remembers nothing, with drafts as well; and they do not read all of a conversation again.
func TestRecurrentConversations(t *testing.T) {
	paths := []string{goldentest.Path(t, "archs", "lfm2.gguf"), goldentest.Path(t, "archs", "qwen35.gguf")}
	limits := model.Limits{Rows: 16, Logits: draft.MaxRows, Sequences: 2, Context: 200, Positions: 400, Drafts: draft.MaxDraft, Checkpoints: 4}
	for _, path := range paths {
		m, err := model.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		if limits.Context = min(200, m.Config.Context); m.Config.Context < 200 {
			limits.Positions = 2 * limits.Context
		}
		requests := []message.Request{
			{ID: "a", Prompt: "on the table", Session: "ada"},
			{ID: "b", Prompt: "on the table"},
			{ID: "c", Prompt: "on the tab"},
			{ID: "d", Prompt: "and now", Session: "ada"},
			{ID: "e", Prompt: "on the table, or not"},
			{ID: "f", Prompt: "on", Session: "ada"},
		}
		for i := range requests {
			requests[i].MaxTokens = 12
		}
		for _, drafts := range []int{0, 3} {
			what := fmt.Sprintf("%s, %d drafts", filepath.Base(path), drafts)
			r := modelRig(t, m, kernel.All()[0], limits, func(o *session.Options) { o.Drafts = drafts })
			cached := 0
			for i, q := range requests {
				got := r.ask(q)[0]
				cached += got.Usage.CachedTokens
				// A fresh engine, which has seen only what belongs to the conversation, with no place to remember anything for others.
				fresh := modelRig(t, m, kernel.All()[0], limits, nil)
				var want message.Answer
				for _, before := range requests[:i+1] {
					if before.ID == q.ID || before.Session == q.Session && q.Session != "" {
						want = fresh.ask(before)[0]
					}
				}
				if got.Status != message.OK || got.Text != want.Text {
					t.Errorf("%s, request %s: %q, %+v; want %q", what, q.ID, got.Text, got.Usage, want.Text)
				}
			}
			if cached == 0 {
				t.Errorf("%s: nothing was remembered", what)
			}
			if broken := r.engine.Broken(); broken != "" {
				t.Errorf("%s: %s", what, broken)
			}
		}
	}
}
