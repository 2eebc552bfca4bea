// Package tune finds out how many threads a model should run with on this machine: one number for decoding, which waits
// for memory and can be slower with more threads, and one for prefill, which is arithmetic. It measures passes of the
// model itself, for a time that is bounded, and keeps what it found in a file.
package tune

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Counts are numbers of threads.
type Counts struct {
	Decode  int `json:"decode"`
	Prefill int `json:"prefill"`
}

// Speed is what was measured with a number of threads, in tokens per second. Zero: not measured.
type Speed struct {
	Threads int     `json:"threads"`
	Decode  float64 `json:"decode,omitempty"`
	Prefill float64 `json:"prefill,omitempty"`
}

// Result is what was chosen, and the speeds that it was chosen for: those measured, in order of threads.
type Result struct {
	Counts
	Speeds []Speed `json:"speeds,omitempty"`
	// Unsteady is set where the times of like passes differed, since other work disturbed them: then the counts are all
	// threads, and the result is not worth keeping.
	Unsteady bool `json:"-"`
}

// String says the speeds on one line: "1 thread: decode 80.1, prefill 300.5 tok/s; 2 threads: ...".
func (r *Result) String() string {
	parts := make([]string, 0, len(r.Speeds))
	for _, s := range r.Speeds {
		var measured []string
		if s.Decode > 0 {
			measured = append(measured, fmt.Sprintf("decode %.1f", s.Decode))
		}
		if s.Prefill > 0 {
			measured = append(measured, fmt.Sprintf("prefill %.1f", s.Prefill))
		}
		parts = append(parts, fmt.Sprintf("%d: %s tok/s", s.Threads, strings.Join(measured, ", ")))
	}
	return strings.Join(parts, "; ")
}

// Passes are what is measured. All of a model's passes may fail; the first failure ends the measurement.
type Passes interface {
	// SetThreads applies to the passes that follow.
	SetThreads(n int)
	// Decode is a pass of one token.
	Decode() error
	// Prefill is a pass of PrefillRows tokens.
	Prefill() error
	PrefillRows() int
	// Reset forgets the tokens of all passes, so that all are measured in the same place.
	Reset() error
}

const (
	// aim is what the measurement takes on a machine that is fast enough for the model.
	aim = 300 * time.Millisecond
	// bound is what it takes at most, but for the first passes: a model that is so slow is measured with fewer counts or not at
	// all, and then has all threads.
	bound = 3 * time.Second
	// maxCounts is how many numbers of threads are tried at most.
	maxCounts = 5
	// maxRounds is how often each is measured at most. The best time counts: what disturbs makes passes slower only.
	maxRounds = 10
	// minRounds is how often each must have been measured to be believed.
	minRounds = 3
	// spread is how much longer the median of like passes may be than the least for them to count as steady.
	spread = 1.25
	// slack is by how much times may differ anyway: passes of tiny models are shorter than what any system does now and
	// then.
	slack = time.Millisecond
	// tolerance is how much faster more threads must be to be worth it: 3 % is more than the best of several times
	// differs by, and cores that are left alone cost nothing.
	tolerance = 1.03
)

// Measure chooses among 1 to threads threads. now is the clock.
func Measure(p Passes, threads int, now func() time.Time) (Result, error) {
	r := Result{Counts: Counts{Decode: threads, Prefill: threads}}
	if threads <= 1 {
		return r, nil
	}
	m := measurement{passes: p, now: now}
	expected, err := m.warm(threads)
	if err != nil {
		return r, err
	}
	m.end = now().Add(bound)
	counts := candidates(threads)
	decode, err := m.series(counts, aim/3, expected, m.decode)
	if err != nil {
		return r, err
	}
	var prefill map[int][]time.Duration
	if decode != nil {
		// A pass of rows takes at most as long as decoding them one by one.
		expected = decode[threads][0] * time.Duration(p.PrefillRows())
		if prefill, err = m.series(counts, aim/2, expected, m.prefill); err != nil {
			return r, err
		}
	}
	r.Unsteady = !steady(decode) || !steady(prefill)
	if !r.Unsteady {
		r.Decode, r.Prefill = best(decode, threads), best(prefill, threads)
	}
	for _, n := range slices.Backward(counts) {
		s := Speed{Threads: n}
		if t := decode[n]; len(t) > 0 {
			s.Decode = 1 / t[0].Seconds()
		}
		if t := prefill[n]; len(t) > 0 {
			s.Prefill = float64(p.PrefillRows()) / t[0].Seconds()
		}
		if s.Decode > 0 || s.Prefill > 0 {
			r.Speeds = append(r.Speeds, s)
		}
	}
	return r, p.Reset()
}

// candidates are the numbers of threads to try, the largest first: all of a few, else quarters.
func candidates(threads int) []int {
	if threads <= maxCounts-1 {
		counts := make([]int, threads)
		for i := range counts {
			counts[i] = threads - i
		}
		return counts
	}
	return slices.Compact([]int{threads, (threads*3 + 3) / 4, (threads + 1) / 2, (threads + 3) / 4, 1})
}

// measurement is one run of Measure.
type measurement struct {
	passes Passes
	now    func() time.Time
	end    time.Time // until when passes may run
}

// warm runs the first pass and returns how long the next will take. The first one touches memory that none has touched
// and reads the model from the disk; if it took so long that there would be no time for others, a second says whether
// that was why.
func (m *measurement) warm(threads int) (time.Duration, error) {
	m.passes.SetThreads(threads)
	took, err := m.decode()
	if err == nil && took > bound/2 {
		return m.decode()
	}
	return took, err
}

func (m *measurement) decode() (time.Duration, error)  { return m.time(m.passes.Decode) }
func (m *measurement) prefill() (time.Duration, error) { return m.time(m.passes.Prefill) }

// time returns how long one pass took; at least 1 ns, since 0 means that there was none.
func (m *measurement) time(pass func() error) (time.Duration, error) {
	if err := m.passes.Reset(); err != nil {
		return 0, err
	}
	begun := m.now()
	if err := pass(); err != nil {
		return 0, err
	}
	return max(m.now().Sub(begun), 1), nil
}

// series returns the times of a pass for each number of threads, the least first: round after round, until the time that
// it may take is over. A number for which there was no time is missing; nil if there was not even time for two. expected
// is how long the first pass will take.
func (m *measurement) series(counts []int, enough, expected time.Duration, pass func() (time.Duration, error)) (map[int][]time.Duration, error) {
	times := map[int][]time.Duration{}
	defer func() {
		for _, t := range times {
			slices.Sort(t)
		}
	}()
	begun := m.now()
	for round := range maxRounds {
		if round >= minRounds && m.now().Sub(begun) >= enough {
			break
		}
		for _, n := range counts {
			// Half the threads may take twice the time, so that is what there must be time for.
			if m.now().Add(2 * expected).After(m.end) {
				if len(times) < 2 {
					return nil, nil
				}
				return times, nil
			}
			m.passes.SetThreads(n)
			took, err := pass()
			if err != nil {
				return nil, err
			}
			times[n] = append(times[n], took)
			expected = took
		}
	}
	return times, nil
}

// steady tells whether the times of like passes were alike.
func steady(times map[int][]time.Duration) bool {
	for _, t := range times {
		if median := t[len(t)/2]; len(t) >= minRounds && median-t[0] > slack && float64(median) > spread*float64(t[0]) {
			return false
		}
	}
	return true
}

// best returns the smallest number of threads that is about as fast as the fastest; threads if there was no time to
// measure each often enough.
func best(times map[int][]time.Duration, threads int) int {
	var fastest time.Duration
	for _, t := range times {
		if len(t) < minRounds {
			return threads
		}
		if fastest == 0 || t[0] < fastest {
			fastest = t[0]
		}
	}
	chosen := threads
	for n, t := range times {
		if float64(t[0]) <= float64(fastest)*tolerance {
			chosen = min(chosen, n)
		}
	}
	return chosen
}
