package daemon_test

import (
	"log/slog"
	"testing"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/model/draft"
)

// The plan counts what drafts take, and nothing of it where they are off.
func TestPlanOfDrafts(t *testing.T) {
	const parallel, context, vocab = 2, 1024, 259
	for speculate, want := range map[string]struct{ drafts, logits int64 }{
		config.SpeculateAuto: {parallel * draft.FinderBytes(context), draft.MaxRows * vocab * 4},
		config.SpeculateOff:  {0, parallel * vocab * 4},
	} {
		c := tinyConfig(t, "127.0.0.1:1")
		c.Model.Parallel, c.Model.Context, c.Model.Speculate = parallel, context, speculate
		plan, err := daemon.Check(c, daemon.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Drafts != want.drafts || plan.Logits != want.logits {
			t.Errorf("%s: %d bytes of drafts, %d of logits, want %+v", speculate, plan.Drafts, plan.Logits, want)
		}
		if sum := plan.Cache + plan.Logits + plan.Scratch + plan.Drafts + plan.Tokenizer; plan.Anonymous() != sum {
			t.Errorf("%s: %d bytes in all, the parts are %d", speculate, plan.Anonymous(), sum)
		}
	}
}
