package stream

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"siskin/model/mapfile"
)

const unitBytes = 1 << 20

// mapped is a file of some units; byte i of it is that of its unit.
func mapped(t *testing.T, units int) (*mapfile.File, []Unit) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	data := make([]byte, units*unitBytes)
	for i := range data {
		data[i] = byte(i / unitBytes)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil { // what is not on disk cannot be dropped
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := mapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	out := make([]Unit, units)
	for i := range out {
		span := []Span{{File: m, Off: int64(i) * unitBytes, Len: unitBytes}}
		out[i] = Unit{Load: span, Drop: span}
	}
	return m, out
}

// resident is how much of the mapping is in this process, from /proc/self/smaps.
func resident(t *testing.T, path string) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says what is resident")
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	here := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "-") && strings.Contains(line, " r") {
			here = strings.HasSuffix(line, path)
		}
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok && here {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("%s is not mapped", path)
	return 0
}

func check(t *testing.T, m *mapfile.File, unit int) {
	t.Helper()
	part := m.Bytes()[unit*unitBytes : (unit+1)*unitBytes]
	for i := 0; i < len(part); i += 4096 {
		if part[i] != byte(unit) {
			t.Fatalf("unit %d, byte %d: %d", unit, i, part[i])
		}
	}
}

// However long it goes, no more than the window is in memory, with a reader that runs beside and without one; what is read is
// right.
func TestWindow(t *testing.T) {
	const units, window = 24, 3
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprint("beside ", beside), func(t *testing.T) {
			m, all := mapped(t, units)
			r := New(all, nil, window)
			if r.Bytes() != units*unitBytes {
				t.Errorf("a pass reads %d bytes", r.Bytes())
			}
			if beside {
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { r.Run(ctx); close(done) }()
				defer func() { stop(); <-done }()
			}
			for range 3 {
				for i := range units {
					r.Need(i)
					check(t, m, i)
					if n := resident(t, m.Path()); n > (window+1)*unitBytes { // a piece around a span's ends may be mapped with it
						t.Fatalf("unit %d: %d bytes are resident", i, n)
					}
					r.Done(i)
				}
				r.End()
			}
		})
	}
}

// A pass that ends early gives back what the next one does not begin with, and the next one is right.
func TestEarlyEnd(t *testing.T) {
	m, all := mapped(t, 12)
	r := New(all, nil, 3)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	for _, last := range []int{0, 5, 11, 3} {
		for i := range last + 1 {
			r.Need(i)
			check(t, m, i)
			if i < last {
				r.Done(i)
			}
		}
		r.End()
		if n := resident(t, m.Path()); n > 5*unitBytes {
			t.Errorf("after a pass that ended at unit %d: %d bytes are resident", last, n)
		}
	}
	stop()
	<-done
	r.Need(1) // without Run it reads by itself
	check(t, m, 1)
	r.Reset(all[:2], nil)
	if n := resident(t, m.Path()); n > 4*unitBytes {
		t.Errorf("after Reset: %d bytes are resident", n)
	}
}

// What stays is not dropped with what lies behind it in the file; pieces that reach over the beginning are, where nothing stays.
func TestKeep(t *testing.T) {
	m, all := mapped(t, 8)
	r := New([]Unit{all[4], all[7]}, all[3].Load, 2)
	check(t, m, 3)
	before := resident(t, m.Path())
	for i := range 2 {
		r.Need(i)
		r.Done(i)
	}
	r.End()
	if after := resident(t, m.Path()); before < unitBytes || after < before {
		t.Errorf("%d bytes were resident, %d are", before, after)
	}
}

// Units that may stay for now are read once; when they may no longer they go.
func TestKeepForNow(t *testing.T) {
	const units = 16
	m, all := mapped(t, units)
	r := New(all, nil, 2)
	pass := func() (most int) {
		for i := range units {
			r.Need(i)
			check(t, m, i)
			most = max(most, resident(t, m.Path()))
			r.Done(i)
		}
		r.End()
		return most
	}
	r.Keep(8*unitBytes + 5)
	pass()
	if n := resident(t, m.Path()); n < 8*unitBytes || n > 10*unitBytes {
		t.Errorf("8 units may stay: %d bytes are resident", n)
	}
	r.Keep(2 * unitBytes)
	if n := resident(t, m.Path()); n > 5*unitBytes {
		t.Errorf("2 units may stay: %d bytes are resident", n)
	}
	if n := pass(); n > 6*unitBytes {
		t.Errorf("2 units may stay: %d bytes were resident in a pass", n)
	}
	r.Keep(units * unitBytes)
	pass()
	if n := pass(); n < (units-1)*unitBytes {
		t.Errorf("all may stay: %d bytes are resident", n)
	}
}

// The time of reading is that of the clock, for as many units as may be read.
func TestTime(t *testing.T) {
	_, all := mapped(t, 6)
	now := time.Unix(0, 0)
	clock := func() time.Time { now = now.Add(time.Millisecond); return now }
	for most, want := range map[int64]int64{0: 1, 3*unitBytes + 5: 3, 1 << 40: 6} {
		if bytes, took := New(all, nil, 2).Time(most, clock); bytes != want*unitBytes || took != time.Duration(want)*time.Millisecond {
			t.Errorf("at most %d bytes: %d in %v", most, bytes, took)
		}
	}
}

// A file that was closed, or cut, ends nothing here: the pass finds out.
func TestUnreadable(t *testing.T) {
	m, all := mapped(t, 4)
	if err := os.Truncate(m.Path(), unitBytes); err != nil {
		t.Fatal(err)
	}
	r := New(all, nil, 2)
	for i := range all {
		r.Need(i)
		r.Done(i)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		r.Need(i)
		r.Done(i)
	}
	r.End()
}
