package budget_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"siskin/model/budget"
)

// ask is a model of 1,000 bytes: 10 bytes a row, 1 byte a token in f16, 100 for the rest.
func ask() budget.Ask {
	bytes := map[string]int64{"f16": 8, "q8": 4, "q4": 2}
	return budget.Ask{
		Want:     choice(64, "f16", 2048, 0),
		Formats:  []string{"f16", "q8", "q4"},
		MinBatch: 8, MinContext: 512, ContextStep: 64,
		Weights: 10000, Window: 500,
		Cost: func(c budget.Choice) ([]budget.Item, error) {
			return []budget.Item{
				{Name: "rows", Bytes: 10 * int64(c.PrefillBatch)},
				{Name: "keys and values", Bytes: bytes[c.KV] * int64(c.Context) / 2},
				{Name: "rest", Bytes: 100, Heap: true},
			}, nil
		},
	}
}

func choice(batch int, kv string, context int, streamed int64) budget.Choice {
	return budget.Choice{PrefillBatch: batch, KV: kv, Context: context, StreamedBytes: streamed}
}

// The queue gives way first and gets back last.
func TestQueue(t *testing.T) {
	a := ask()
	a.Want.QueueBytes, a.MinQueue = 400, 100
	cost := a.Cost
	a.Cost = func(c budget.Choice) ([]budget.Item, error) {
		items, err := cost(c)
		return append(items, budget.Item{Name: "queue", Bytes: c.QueueBytes}), err
	}
	const whole = 10000 + 640 + 8192 + 100 + 400
	for _, c := range []struct {
		budget, queue int64
		batch         int
	}{
		{whole, 400, 64}, {whole - 1, 200, 64}, {whole - 201, 100, 64}, {whole - 301, 400, 32}, {whole - 860, 100, 8}, {whole - 861, 400, 64},
	} {
		p, err := budget.Fit(c.budget, "", a)
		if err != nil || p.Choice.QueueBytes != c.queue || p.Choice.PrefillBatch != c.batch || p.Total() > c.budget {
			t.Errorf("%d bytes: %+v, %v; want a queue of %d and a batch of %d", c.budget, p.Choice, err, c.queue, c.batch)
		}
	}
}

// The ladder: every rung is taken only where the one before is not enough, and what is left goes back.
func TestFit(t *testing.T) {
	const whole = 10000 + 640 + 8192 + 100
	for _, c := range []struct {
		budget int64
		want   budget.Choice
		steps  int
	}{
		{whole, choice(64, "f16", 2048, 0), 0},
		{whole - 1, choice(32, "f16", 2048, 0), 1},
		{whole - 560, choice(8, "f16", 2048, 0), 1},
		{whole - 561, choice(64, "q8", 2048, 0), 1},
		{whole - 4097, choice(32, "q8", 2048, 0), 2},
		{whole - 4096 - 561, choice(64, "q4", 2048, 0), 1},
		{10000 + 80 + 2048 + 100, choice(8, "q4", 2048, 0), 2},
		{10000 + 80 + 2047 + 100, choice(8, "q4", 1984, 0), 3},
		{10000 + 80 + 512 + 100, choice(8, "q4", 512, 0), 3},
		{10000 + 80 + 511 + 100, choice(64, "q4", 512, 561), 3}, // streamed anyway: the batch gets back what costs little
		{500 + 80 + 512 + 100, choice(8, "q4", 512, 9500), 4},
	} {
		p, err := budget.Fit(c.budget, "test", ask())
		if err != nil {
			t.Errorf("%d bytes: %v", c.budget, err)
			continue
		}
		if p.Choice != c.want || len(p.Steps) != c.steps {
			t.Errorf("%d bytes: %+v in the steps %q, want %+v in %d", c.budget, p.Choice, p.Steps, c.want, c.steps)
		}
		if p.Total() > c.budget || p.Sum(budget.Anonymous)+p.Sum(budget.File) != p.Total() || p.Heap() != 100 {
			t.Errorf("%d bytes: the plan takes %d, %d of them heap", c.budget, p.Total(), p.Heap())
		}
		if p.Smallest != 1192 {
			t.Errorf("%d bytes: the smallest budget is %d, want 1192", c.budget, p.Smallest)
		}
	}
}

func TestNothingFits(t *testing.T) {
	p, err := budget.Fit(1191, "memory.budget", ask())
	var over *budget.OverBudget
	if !errors.As(err, &over) || over.Need != 1192 || over.Have != 1191 {
		t.Fatalf("error %v", err)
	}
	if p.Total() != 1192 {
		t.Errorf("the plan that is shown takes %d bytes, not the smallest budget", p.Total())
	}
	for _, want := range []string{"memory.budget", "smallest budget that works", "keys and values", "weights", "rest"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if _, err := budget.Fit(1192, "", ask()); err != nil {
		t.Errorf("the smallest budget does not work: %v", err)
	}
}

func TestStrict(t *testing.T) {
	a := ask()
	a.Strict = true
	const whole = 10000 + 640 + 8192 + 100
	if p, err := budget.Fit(whole, "", a); err != nil || p.Choice != a.Want || p.Smallest != whole {
		t.Errorf("%+v, %v", p, err)
	}
	p, err := budget.Fit(whole-1, "", a)
	var over *budget.OverBudget
	if !errors.As(err, &over) || over.Need != whole || p.Choice != a.Want || len(p.Steps) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestCostFails(t *testing.T) {
	a, failure := ask(), errors.New("no such shape")
	a.Cost = func(budget.Choice) ([]budget.Item, error) { return nil, failure }
	if _, err := budget.Fit(1<<40, "", a); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
}

// Whatever is asked: a plan never takes more than the budget, and more memory never gives a worse plan.
func TestMoreIsNotWorse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a := ask()
		a.Want.PrefillBatch, a.Want.Context = 1+rng.IntN(200), 1+rng.IntN(5000)
		a.MinBatch, a.MinContext = 1+rng.IntN(20), 1+rng.IntN(1000)
		a.Weights, a.Window = int64(rng.IntN(20000)), int64(rng.IntN(2000))
		var last *budget.Plan
		for b := int64(0); b < 50000; b += 1 + rng.Int64N(3000) {
			p, err := budget.Fit(b, "", a)
			if err != nil {
				if b >= p.Smallest || last != nil {
					t.Fatalf("%d bytes are not enough, %d is the smallest: %+v", b, p.Smallest, a)
				}
				continue
			}
			if p.Total() > b {
				t.Fatalf("%d bytes: the plan takes %d: %+v", b, p.Total(), a)
			}
			if last != nil && (p.Choice.StreamedBytes > last.Choice.StreamedBytes && p.Choice.PrefillBatch <= last.Choice.PrefillBatch ||
				slices.Index(a.Formats, p.Choice.KV) > slices.Index(a.Formats, last.Choice.KV) ||
				p.Choice.KV == last.Choice.KV && p.Choice.Context < last.Choice.Context) {
				t.Fatalf("%d bytes: %+v, with fewer %+v", b, p.Choice, last.Choice)
			}
			last = &p
		}
		if last == nil || last.Choice != a.Want {
			t.Fatalf("50000 bytes: %+v, want %+v", last, a.Want)
		}
	}
}
