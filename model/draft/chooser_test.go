package draft

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// machine is a simulated clock: what a pass of so many rows takes, in units of a pass of one row.
type machine func(rows int) float64

func unit(passes float64) time.Duration { return time.Duration(passes * float64(time.Millisecond)) }

// machines: what was measured or is known of some boards, see decision record 0009.
var machines = map[string]machine{
	"rows are free":       func(int) float64 { return 1 },
	"rows cost a tenth":   func(rows int) float64 { return 1 + 0.1*float64(rows-1) },
	"rows cost a half":    func(rows int) float64 { return 1 + 0.5*float64(rows-1) },
	"rows cost all":       func(rows int) float64 { return float64(rows) },
	"a step after four":   func(rows int) float64 { return []float64{0, 1, 1.1, 1.2, 1.3, 3, 3, 3, 3}[rows] },
	"the second is dear":  func(rows int) float64 { return []float64{0, 1, 1.9, 1.9, 1.9, 2, 2, 2, 2}[rows] },
	"many cost their sum": func(rows int) float64 { return math.Ceil(float64(rows) / 2) },
}

// run decodes a text of one answer and returns the time it took; the clock is the machine's, and note, if any, is told
// what each pass was like.
func run(c *Chooser, a *Answer, text []int32, clock func() machine, note func(done, drafts, accepted int)) (total float64) {
	answers, dst := []*Answer{a}, make([]int32, MaxDraft)
	a.Take(text[0])
	for done := 1; done < len(text); {
		a.Limit = len(text) - done - 1
		c.Choose(answers)
		drafted := a.Draft(dst[:a.Drafts])
		accepted := 0
		for accepted < len(drafted) && drafted[accepted] == text[done+accepted] {
			accepted++
		}
		a.Accepted = accepted
		for _, token := range text[done : done+accepted+1] {
			a.Take(token)
		}
		took := clock()(1 + len(drafted))
		total += took
		c.Settle(answers, unit(took))
		if note != nil {
			note(done, len(drafted), accepted)
		}
		done += accepted + 1
	}
	return total
}

func always(m machine) func() machine { return func() machine { return m } }

// free is text without repetitions of more than chance.
func free(rng *rand.Rand, n, alphabet int) []int32 {
	text := make([]int32, n)
	for i := range text {
		text[i] = int32(rng.IntN(alphabet))
	}
	return text
}

// tempting is text that repeats itself for as long as drafts get longer, then breaks off: after every copied run of the
// given length comes a token that the source does not have.
func tempting(rng *rand.Rand, n, length int) []int32 {
	text := free(rng, 64, 1000)
	for next := int32(1000); len(text) < n; next++ {
		from := rng.IntN(64 - length)
		text = append(text, text[from:from+length]...)
		text = append(text, next)
	}
	return text[:n]
}

// However the text tempts and whatever rows cost, n tokens take at most the time of 1.02 n + 1 passes.
func TestLossIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	texts := map[string][]int32{"free": free(rng, 2000, 40000), "letters": free(rng, 2000, 12), "bits": free(rng, 2000, 2)}
	for _, length := range []int{2, 3, 4, 5, 8, 12} {
		texts["tempting "+string(rune('0'+length))] = tempting(rng, 2000, length)
	}
	for name, m := range machines {
		for kind, text := range texts {
			for _, n := range []int{20, 200, 2000} {
				c, a := &Chooser{}, NewAnswer(len(text))
				a.Begin(nil)
				got := run(c, a, text[:n], always(m), nil)
				if most := (1+interest)*float64(n) + startCredit; got > most {
					t.Errorf("%s, %s: %d tokens took %.1f passes, at most %.1f are promised", name, kind, n, got, most)
				}
			}
		}
	}
}

// The same for many machines and texts that chance makes.
func TestLossIsBoundedByChance(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for range 300 {
		var price [MaxRows + 1]float64
		dear := rng.Float64()
		for rows := 1; rows <= MaxRows; rows++ {
			price[rows] = 1
			if rows > 1 {
				price[rows] = price[rows-1] + dear*rng.ExpFloat64()
			}
			for part := 1; part < rows; part++ { // a pass is never slower than its parts
				price[rows] = min(price[rows], price[part]+price[rows-part])
			}
		}
		text := free(rng, 600, 2+rng.IntN(300))
		for at := 50; at < len(text); { // copies of chance length, and errors in them
			for n := rng.IntN(20); n > 0 && at < len(text); n-- {
				if back := 1 + rng.IntN(45); rng.IntN(8) > 0 {
					text[at] = text[at-back]
				}
				at++
			}
			from := rng.IntN(at - 40)
			at += copy(text[at:], text[from:from+rng.IntN(40)]) + 1
		}
		c, a := &Chooser{}, NewAnswer(len(text))
		a.Begin(text[:40])
		n := 20 + rng.IntN(500)
		got := run(c, a, text[40:40+n], always(func(rows int) float64 { return price[rows] }), nil)
		if most := (1+interest)*float64(n) + startCredit; got > most {
			t.Errorf("prices %.2f: %d tokens took %.1f passes, at most %.1f are promised", price[1:], n, got, most)
		}
	}
}

// The same for a text that knows what is drafted: it does what is expected as long as nothing is, and surprises as soon as
// something is. Only the credit holds against that.
func TestLossIsBoundedAgainstAnAdversary(t *testing.T) {
	const n = 3000
	for name, m := range machines {
		c, a, rng := &Chooser{}, NewAnswer(n+100), rand.New(rand.NewPCG(19, 20))
		a.Begin(free(rng, 64, 40000))
		total, surprises := 0.0, int32(100000)
		run := 0 // where in the prompt the text goes on where nothing is expected
		for done := range n {
			a.Limit = MaxDraft
			c.Choose([]*Answer{a})
			took := m(1 + a.Drafts)
			switch {
			case a.Drafts > 0:
				surprises++
				a.Take(surprises)
				run = rng.IntN(60)
			case a.match > 0:
				a.Take(a.tokens[a.source])
			default:
				a.Take(a.tokens[run])
				run++
			}
			c.Settle([]*Answer{a}, unit(took))
			total += took
			if most := (1+interest)*float64(done+1) + startCredit; total > most {
				t.Fatalf("%s: %d tokens took %.1f passes, at most %.1f are promised", name, done+1, total, most)
			}
		}
		if surprises < 100010 {
			t.Errorf("%s: only %d surprises", name, surprises-100000)
		}
	}
}

// A copy is read in long drafts where rows are cheap, in shorter ones where they are not, and one by one where they cost
// all: with occasional trials.
func TestDraftsFollowThePrice(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	prompt := free(rng, 500, 40000)
	for _, c := range []struct {
		machine     string
		least, most float64 // speed against decoding one by one
	}{
		{"rows are free", 5.5, 8},
		{"rows cost a tenth", 3.5, 8 / 1.7},
		{"rows cost a half", 1.4, 8 / 4.5},
		{"rows cost all", 0.97, 1},
		{"a step after four", 2.3, 4 / 1.3},
		{"the second is dear", 2.5, 4},
	} {
		a := NewAnswer(1000)
		a.Begin(prompt)
		got := 499 / run(&Chooser{}, a, prompt, always(machines[c.machine]), nil)
		if got < c.least || got > c.most {
			t.Errorf("%s: a copy is %.2f times as fast, want %.2f to %.2f", c.machine, got, c.least, c.most)
		}
	}
}

// On free text drafts end within a few tokens of the end of a copy, and begin again with the next.
func TestDraftsFollowTheText(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	prompt := free(rng, 300, 400)
	text := append(append(append([]int32{}, prompt...), free(rng, 900, 400)...), prompt...)
	a := NewAnswer(len(prompt) + len(text))
	a.Begin(prompt)
	var drafted, wrong, passes [3]int // in the copy, the free text, the second copy
	run(&Chooser{}, a, text, always(machines["rows cost a tenth"]), func(done, drafts, accepted int) {
		part := 0
		switch {
		case done >= 1200:
			part = 2
		case done >= 310:
			part = 1
		case done >= 300:
			return // the change itself
		}
		passes[part]++
		drafted[part] += drafts
		wrong[part] += drafts - accepted
	})
	if drafted[0] < 4*passes[0] || drafted[2] < 4*passes[2] {
		t.Errorf("copies: %v drafted in %v passes", drafted, passes)
	}
	if wrong[1]*20 > passes[1] {
		t.Errorf("free text: %d wrong drafts in %d passes", wrong[1], passes[1])
	}
}

// Prices follow the machine: rows that become dear are given up, rows that become cheap are found.
func TestPricesChange(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	prompt := free(rng, 3000, 40000)
	now := machines["rows cost a tenth"]
	var late [2]int
	var passes [2]int
	a := NewAnswer(6000)
	a.Begin(prompt)
	run(&Chooser{}, a, prompt, func() machine { return now }, func(done, drafts, _ int) {
		switch {
		case done < 1000:
		case done < 2000:
			now = machines["rows cost all"]
			if done > 1100 {
				late[0] += drafts
				passes[0]++
			}
		default:
			now = machines["rows cost a tenth"]
			if done > 2500 {
				late[1] += drafts
				passes[1]++
			}
		}
	})
	if late[0]*20 > passes[0] || late[1] < 4*passes[1] {
		t.Errorf("%v drafted in %v passes: want few while rows are dear, many again once they are cheap", late, passes)
	}
}

// A busy machine stretches single passes; the drafts of a copy go on.
func TestHiccups(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	prompt := free(rng, 2000, 40000)
	a := NewAnswer(4000)
	a.Begin(prompt)
	passes := 0
	run(&Chooser{}, a, prompt, func() machine {
		return func(rows int) float64 {
			if rng.IntN(6) == 0 {
				return 20
			}
			return machines["rows cost a tenth"](rows)
		}
	}, func(int, int, int) { passes++ })
	if passes > 2000/4 {
		t.Errorf("%d passes for 2000 tokens", passes)
	}
}

// Several answers: rows go to the one that predicts well, the pass stays within its rows, and but for a few trials no
// answer waits much longer because of the drafts of another.
func TestSharing(t *testing.T) {
	for name, m := range machines {
		for count := 2; count <= MaxRows+1; count++ {
			drafted, slow := share(t, m, count)
			if useful := m(min(count+1, MaxRows)) <= 1.1*m(min(count, MaxRows)); useful && count < MaxRows && drafted[0] < 100 {
				t.Errorf("%s, %d answers: %d drafts of the one that copies", name, count, drafted[0])
			}
			for i, n := range drafted[1:] {
				if n > 40 {
					t.Errorf("%s, %d answers: %d drafts of answer %d, none of them right", name, count, n, i+1)
				}
			}
			if slow > 8 {
				t.Errorf("%s, %d answers: %d slow passes of 150", name, count, slow)
			}
		}
	}
}

// share runs 150 passes of answers of which the first copies the prompt and the others surprise. It returns how much each
// drafted, and how many passes took longer than patience allows.
func share(t *testing.T, m machine, count int) (drafted []int, slow int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(15, 16))
	prompt := free(rng, 200, 40000)
	c, answers := &Chooser{}, make([]*Answer, count)
	for i := range answers {
		answers[i] = NewAnswer(3000)
		answers[i].Begin(prompt)
		answers[i].Limit = MaxDraft
	}
	drafted = make([]int, count)
	for range 150 {
		c.Choose(answers)
		rows := count
		for i, a := range answers {
			rows += a.Drafts
			drafted[i] += a.Drafts
			a.Accepted = 0
			if i > 0 {
				a.Take(prompt[rng.IntN(200)])
				continue
			}
			for a.Accepted = 0; a.Accepted <= a.Drafts; a.Accepted++ {
				a.Take(prompt[len(a.tokens)%200])
			}
			a.Accepted--
		}
		if rows > max(count, MaxRows) {
			t.Fatalf("a pass of %d rows for %d answers", rows, count)
		}
		if count > MaxRows {
			continue
		}
		if m(rows) > patience*m(count) {
			slow++
		}
		c.Settle(answers, unit(m(rows)))
	}
	return drafted, slow
}

// A fixed length is kept for every answer as far as its limit and the rows go.
func TestFixed(t *testing.T) {
	for fixed := 1; fixed <= MaxDraft; fixed++ {
		for count := 1; count <= 9; count++ {
			c := &Chooser{Fixed: fixed}
			answers := make([]*Answer, count)
			for i := range answers {
				answers[i] = NewAnswer(100)
				answers[i].Begin([]int32{1, 2, 3, 1, 2})
				answers[i].Limit = i // the first may draft nothing
			}
			c.Choose(answers)
			rows, wanted := count, count
			for i, a := range answers {
				rows += a.Drafts
				wanted += min(i, fixed)
				if a.Drafts > min(i, fixed) {
					t.Errorf("fixed %d: answer %d of %d drafts %d", fixed, i, count, a.Drafts)
				}
			}
			if rows != max(count, min(wanted, MaxRows)) {
				t.Errorf("fixed %d, %d answers: %d rows, want %d", fixed, count, rows, max(count, min(wanted, MaxRows)))
			}
		}
	}
}

// Choosing allocates nothing.
func TestChooseAllocates(t *testing.T) {
	c, a := &Chooser{}, NewAnswer(4096)
	a.Begin([]int32{1, 2, 3})
	answers := []*Answer{a}
	if n := testing.AllocsPerRun(500, func() {
		a.Limit = MaxDraft
		c.Choose(answers)
		a.Accepted = a.Drafts
		a.Take(1)
		c.Settle(answers, time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
