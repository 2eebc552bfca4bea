package tune

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// fake is a model on a machine whose passes take what its functions say, on a clock of its own.
type fake struct {
	clock           time.Time
	threads         int
	first           time.Duration // more for the first pass
	decode, prefill func(threads int) time.Duration
	tokens          int
	failAt          int // fail the pass of this number, from 1; 0: none
	passes          int
	tried           []int
}

func (f *fake) now() time.Time       { return f.clock }
func (f *fake) SetThreads(n int)     { f.threads = n }
func (f *fake) PrefillRows() int     { return 32 }
func (f *fake) Reset() error         { f.tokens = 0; return nil }
func (f *fake) Decode() error        { return f.pass(1, f.decode) }
func (f *fake) Prefill() error       { return f.pass(32, f.prefill) }
func (f *fake) since() time.Duration { return f.clock.Sub(time.Time{}) }

var errPass = errors.New("pass failed")

func (f *fake) pass(tokens int, takes func(int) time.Duration) error {
	if f.passes++; f.passes == f.failAt {
		return errPass
	}
	if f.tokens > 0 {
		return errors.New("not reset")
	}
	if !slices.Contains(f.tried, f.threads) {
		f.tried = append(f.tried, f.threads)
	}
	f.tokens = tokens
	f.clock = f.clock.Add(takes(f.threads) + f.first)
	f.first = 0
	return nil
}

// ideal divides the work evenly.
func ideal(one time.Duration) func(int) time.Duration {
	return func(n int) time.Duration { return one / time.Duration(n) }
}

// memory is work that more than most threads make slower.
func memory(one time.Duration, most int) func(int) time.Duration {
	return func(n int) time.Duration {
		if n <= most {
			return one / time.Duration(n)
		}
		return one/time.Duration(most) + one/20*time.Duration(n-most)
	}
}

func TestMeasure(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		threads int
		f       fake
		want    Counts
		speeds  int
		atMost  time.Duration
	}{
		"one thread":      {1, fake{decode: ideal(7 * ms), prefill: ideal(50 * ms)}, Counts{1, 1}, 0, 0},
		"two cores":       {2, fake{decode: ideal(7 * ms), prefill: ideal(30 * ms)}, Counts{2, 2}, 2, 320 * ms},
		"memory":          {4, fake{decode: memory(40*ms, 2), prefill: ideal(100 * ms)}, Counts{2, 4}, 4, time.Second},
		"no gain":         {2, fake{decode: ideal(0), prefill: func(int) time.Duration { return 30 * ms }}, Counts{1, 1}, 2, 320 * ms},
		"2 % are no gain": {2, fake{decode: func(n int) time.Duration { return 7*ms - time.Duration(n)*ms/8 }, prefill: ideal(30 * ms)}, Counts{1, 2}, 2, 320 * ms},
		"many cores":      {64, fake{decode: memory(100*ms, 16), prefill: ideal(500 * ms)}, Counts{16, 64}, 5, 4 * time.Second},
		"cold disk":       {2, fake{first: 20 * time.Second, decode: ideal(7 * ms), prefill: ideal(30 * ms)}, Counts{2, 2}, 2, 20*time.Second + 320*ms},
		"slow":            {4, fake{decode: memory(1500*ms, 2), prefill: ideal(20 * time.Second)}, Counts{4, 4}, 2, 5 * time.Second},
		"very slow":       {4, fake{decode: memory(9*time.Second, 2), prefill: ideal(100 * time.Second)}, Counts{4, 4}, 0, 11 * time.Second},
	} {
		f := c.f
		r, err := Measure(&f, c.threads, f.now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r.Counts != c.want || len(r.Speeds) != c.speeds {
			t.Errorf("%s: %+v, want %+v and %d speeds", name, r, c.want, c.speeds)
		}
		if f.since() > c.atMost {
			t.Errorf("%s: took %v, want at most %v", name, f.since(), c.atMost)
		}
		if f.tokens != 0 {
			t.Errorf("%s: %d tokens are left", name, f.tokens)
		}
	}
}

// Passes that something disturbs say nothing: all threads, and measured again the next time.
func TestMeasureUnsteady(t *testing.T) {
	turn := 0
	f := fake{prefill: ideal(30 * time.Millisecond), decode: func(int) time.Duration {
		turn++
		return time.Duration(5+10*(turn%3)) * time.Millisecond
	}}
	r, err := Measure(&f, 2, f.now)
	if err != nil || !r.Unsteady || r.Counts != (Counts{2, 2}) || len(r.Speeds) != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestMeasureFails(t *testing.T) {
	for n := 1; n <= 30; n++ {
		f := fake{decode: ideal(20 * time.Millisecond), prefill: ideal(50 * time.Millisecond), failAt: n}
		r, err := Measure(&f, 3, f.now)
		if f.passes < n {
			if n < 10 {
				t.Errorf("only %d passes", f.passes)
			}
			return
		}
		if !errors.Is(err, errPass) || r.Counts != (Counts{3, 3}) {
			t.Errorf("pass %d failed: %+v, %v", n, r, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	for threads, want := range map[int][]int{
		2: {2, 1}, 4: {4, 3, 2, 1}, 5: {5, 4, 3, 2, 1}, 8: {8, 6, 4, 2, 1}, 64: {64, 48, 32, 16, 1}, 256: {256, 192, 128, 64, 1},
	} {
		if got := candidates(threads); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", threads, got, want)
		}
	}
}

func TestResultString(t *testing.T) {
	r := Result{Speeds: []Speed{{Threads: 1, Decode: 80.14, Prefill: 300}, {Threads: 2, Decode: 99}, {Threads: 4, Prefill: 5}}}
	if got, want := r.String(), "1: decode 80.1, prefill 300.0 tok/s; 2: decode 99.0 tok/s; 4: prefill 5.0 tok/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
