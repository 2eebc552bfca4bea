package daemon_test

import (
	"errors"
	"log/slog"
	"testing"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/memory"
	"siskin/model/budget"
	"siskin/model/draft"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
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
		if drafts, logits := plan.Memory.Bytes("drafts"), plan.Memory.Bytes("logits"); drafts != want.drafts || logits != want.logits {
			t.Errorf("%s: %d bytes of drafts, %d of logits, want %+v", speculate, drafts, logits, want)
		}
	}
}

// A daemon keeps within its budget, gives way as far as it must, and says the smallest that works, which then does.
func TestBudget(t *testing.T) {
	c := tinyConfig(t, "127.0.0.1:1")
	c.Model.Pack = "off"
	check := func(bytes int64, strict bool) (daemon.Plan, error) {
		c.Memory.Budget, c.Memory.Strict = config.Budget(bytes), strict
		return daemon.Check(c, daemon.Options{Log: slog.New(slog.DiscardHandler)})
	}
	plan, err := check(1<<30, false)
	if err != nil || len(plan.Memory.Steps) != 0 || plan.Memory.Choice.Context != c.Model.Context {
		t.Fatalf("1 GiB: %+v, %v", plan.Memory, err)
	}
	whole := plan.Memory.Total()
	if plan, err = check(whole, true); err != nil || plan.Memory.Total() != whole {
		t.Errorf("strict, and just enough: %+v, %v", plan.Memory, err)
	}
	var over *budget.OverBudget
	if _, err = check(whole-1, true); !errors.As(err, &over) || over.Need != whole {
		t.Errorf("strict, and a byte too small: %v", err)
	}
	if plan, err = check(whole-1, false); err != nil || len(plan.Memory.Steps) == 0 || plan.Memory.Total() >= whole {
		t.Errorf("a byte too small: %+v, %v", plan.Memory, err)
	}
	smallest := plan.Memory.Smallest
	if _, err = check(smallest-1, false); !errors.As(err, &over) || over.Need != smallest {
		t.Errorf("a byte less than the smallest budget: %v", err)
	}
	if plan, err = check(smallest, false); err != nil || plan.Memory.Choice.StreamedBytes == 0 {
		t.Errorf("the smallest budget: %+v, %v", plan.Memory, err)
	}
	c.Memory.Budget = 0
	o := daemon.Options{Log: slog.New(slog.DiscardHandler), Memory: memory.Limits{Group: smallest}}
	if plan, err = daemon.Check(c, o); err != nil || plan.Memory.Budget != smallest {
		t.Errorf("auto: %+v, %v", plan.Memory, err)
	}
}

// A daemon with less than it is asked for answers, with what the plan has chosen.
func TestAnswersInSmallBudget(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, broker.Addr())
	c.Memory.Budget, c.Memory.MinContext = 1<<30, 128
	plan, err := daemon.Check(c, daemon.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.Memory.Budget = config.Budget(plan.Memory.Smallest)
	start(t, c)
	u := newUser(t, broker.Addr())
	if u.status.ContextTokens != 128 {
		t.Errorf("a context of %d tokens is announced, want 128", u.status.ContextTokens)
	}
	defer u.Cut()
	u.prompt(message.Request{ID: "a", Prompt: "hello"})
	if a := u.answer("a"); a.Status != message.OK {
		t.Errorf("answer %+v", a)
	}
}
