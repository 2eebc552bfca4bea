package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/daemon/journal"
	"siskin/daemon/journal/journaltest"
)

// open opens a journal and returns what was in it, by number.
func open(t *testing.T, f journal.Folder) (*journal.Journal, map[uint64]journal.Record, error) {
	t.Helper()
	got := map[uint64]journal.Record{}
	j, err := journal.Open(journal.Options{Folder: f, SegmentBytes: 4096, Replay: func(r journal.Record) error {
		r.Data = bytes.Clone(r.Data)
		if old, ok := got[r.Number]; ok && (!bytes.Equal(old.Data, r.Data) || old.Kind != r.Kind) {
			t.Errorf("record %d is there twice and differs", r.Number)
		}
		got[r.Number] = r
		return nil
	}})
	return j, got, err
}

// text is the data of record i of a scenario: some longer than a segment.
func text(i int) []byte {
	n := i * 37 % 700
	if i%17 == 5 {
		n += 5000
	}
	return fmt.Appendf(nil, "%d:%s", i, strings.Repeat("x", n))
}

// fate is what a journal said of the records of a scenario.
type fate struct {
	kept, failed []int
	last         []int // in the order of the calls of done
}

// write appends records from..to, in groups, and waits for each group.
func write(j *journal.Journal, from, to int) (out fate) {
	var mu sync.Mutex
	for i := from; i < to; {
		var group sync.WaitGroup
		for n := 1 + i%4; n > 0 && i < to; n, i = n-1, i+1 {
			group.Add(1)
			this := i
			j.Append(byte(1+i%3), text(i), func(_ journal.Place, err error) {
				defer group.Done()
				mu.Lock()
				defer mu.Unlock()
				out.last = append(out.last, this)
				if err == nil {
					out.kept = append(out.kept, this)
				} else {
					out.failed = append(out.failed, this)
				}
			})
		}
		group.Wait()
	}
	return out
}

// index finds the records of a scenario by their texts.
func index(records map[uint64]journal.Record) map[int]bool {
	out := map[int]bool{}
	for _, r := range records {
		var i int
		if _, err := fmt.Sscanf(string(r.Data), "%d:", &i); err == nil && bytes.Equal(r.Data, text(i)) && r.Kind == byte(1+i%3) {
			out[i] = true
		} else {
			out[-1] = true
		}
	}
	return out
}

// Whatever operation fails, or is the last one, and whatever the power cut leaves of what was not synced: what was said to be
// durable is there, unchanged, and what was said to have failed is not, if there was time to take it back.
func TestEveryFault(t *testing.T) {
	const n = 40
	whole := journaltest.New(0, journaltest.None)
	j, _, err := open(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if f := write(j, 0, n); len(f.kept) != n {
		t.Fatal("the scenario fails without a fault")
	}
	ops := whole.Ops()
	runs := 0
	for at := 1; at <= ops+1; at++ {
		for _, fault := range []journaltest.Fault{journaltest.FailOnce, journaltest.Full, journaltest.Broken, journaltest.Die} {
			for _, loss := range []journaltest.Loss{journaltest.Keep, journaltest.Lose, journaltest.Mixed} {
				runs++
				name := fmt.Sprintf("operation %d, fault %d, loss %d", at, fault, loss)
				folder := journaltest.New(at, fault)
				j, _, err := open(t, folder)
				if err != nil {
					continue // it has said so
				}
				f := write(j, 0, n)
				for i, x := range f.last {
					if i != x {
						t.Fatalf("%s: done out of order: %v", name, f.last)
					}
				}
				if fault == journaltest.FailOnce && len(f.failed) > 0 {
					t.Errorf("%s: one error is survived by a new segment, but %v failed", name, f.failed)
				}
				next := folder.After(loss, rand.New(rand.NewPCG(uint64(at), uint64(loss))), 0, journaltest.None)
				j, records, err := open(t, next)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got := index(records)
				if got[-1] {
					t.Errorf("%s: a record that was never written", name)
				}
				for _, i := range f.kept {
					if !got[i] {
						t.Errorf("%s: record %d is lost", name, i)
					}
				}
				// It goes on.
				if f := write(j, n, n+5); len(f.kept) != 5 {
					t.Errorf("%s: the next process cannot write: %v", name, f.failed)
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				j, after, err := open(t, next)
				if err != nil || len(index(after)) < len(f.kept)+5 {
					t.Errorf("%s: %d records after all, %v", name, len(after), err)
				} else if err := j.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	t.Logf("%d operations, %d runs", ops, runs)
}

// A disk that is full for a while: what failed meanwhile is taken back.
func TestTakenBack(t *testing.T) {
	for at := 4; at < 16; at++ {
		folder := &healing{Folder: journaltest.New(0, journaltest.None), from: at, to: at + 6}
		j, _, err := open(t, folder)
		if err != nil {
			t.Fatal(err)
		}
		f := write(j, 0, 30)
		if len(f.failed) == 0 {
			t.Fatalf("%d: nothing failed", at)
		}
		_, records, err := open(t, folder.After(journaltest.Keep, nil, 0, journaltest.None))
		if err != nil {
			t.Fatal(err)
		}
		got := index(records)
		for _, i := range f.failed {
			if got[i] {
				t.Errorf("%d: record %d failed and is there", at, i)
			}
		}
		for _, i := range f.kept {
			if !got[i] {
				t.Errorf("%d: record %d is lost", at, i)
			}
		}
	}
}

// healing is a folder on which syncs fail for a while.
type healing struct {
	*journaltest.Folder
	mu       sync.Mutex
	syncs    int
	from, to int
}

func (h *healing) Create(name string, size int64) (journal.File, error) {
	f, err := h.Folder.Create(name, size)
	return healingFile{f, h}, err
}

type healingFile struct {
	journal.File
	folder *healing
}

func (f healingFile) Sync() error {
	f.folder.mu.Lock()
	f.folder.syncs++
	bad := f.folder.syncs >= f.folder.from && f.folder.syncs < f.folder.to
	f.folder.mu.Unlock()
	if bad {
		return errors.New("sync: no")
	}
	return f.File.Sync()
}

// One byte that is wrong costs one record, and is reported.
func TestDamage(t *testing.T) {
	folder := journaltest.New(0, journaltest.None)
	j, _, err := open(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	const n = 12
	write(j, 0, n)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := folder.List()
	if err != nil {
		t.Fatal(err)
	}
	lostMost := 0
	for _, name := range names {
		for offset := 0; offset < 4096; offset += 7 {
			hurt := folder.After(journaltest.Keep, nil, 0, journaltest.None)
			if !hurt.Flip(name, offset) {
				break
			}
			var damage []journal.Damage
			seen := map[uint64]journal.Record{}
			j, err := journal.Open(journal.Options{
				Folder: hurt, SegmentBytes: 4096, Damaged: func(d journal.Damage) { damage = append(damage, d) },
				Replay: func(r journal.Record) error { r.Data = bytes.Clone(r.Data); seen[r.Number] = r; return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			got := index(seen)
			lost := n - len(got)
			lostMost = max(lostMost, lost)
			if got[-1] || lost > 1 || lost == 1 && len(damage) == 0 {
				t.Fatalf("%s, byte %d: %d records lost, damage %v, strange %v", name, offset, lost, damage, got[-1])
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lostMost != 1 {
		t.Errorf("no byte mattered")
	}
}

// On a real disk: places, release, a second process, and data that looks like a record.
func TestDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	disk, err := journal.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.OpenDisk(dir); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	j, _, err := open(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	var places []journal.Place
	put := func(data string) {
		done := make(chan error)
		j.Append(7, []byte(data), func(p journal.Place, err error) { places = append(places, p); done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	put("second")
	if r, err := j.Read(places[1]); err != nil || string(r.Data) != "second" || r.Kind != 7 {
		t.Errorf("%+v %v", r, err)
	}
	mark, err := j.Mark()
	if err != nil {
		t.Fatal(err)
	}
	put("third")
	if err := j.Release(mark); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Read(places[0]); !errors.Is(err, journal.ErrGone) {
		t.Errorf("a released record: %v", err)
	}
	before, _ := j.Bytes()
	lazily := make(chan struct{})
	j.Append(9, []byte("nobody waits"), nil)
	go func() {
		for b, _ := j.Bytes(); b == before; b, _ = j.Bytes() {
			time.Sleep(10 * time.Millisecond)
		}
		close(lazily)
	}()
	select {
	case <-lazily:
	case <-time.After(10 * time.Second):
		t.Error("a record that nobody waits for is never written")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	late := make(chan error)
	j.Append(1, nil, func(_ journal.Place, err error) { late <- err })
	if err := <-late; !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	j, records, err := open(t, disk)
	if err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if err := errors.Join(j.Close(), disk.Close()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestTooLong(t *testing.T) {
	j, _, err := open(t, journaltest.New(0, journaltest.None))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	j.Append(1, make([]byte, journal.MaxRecord+1), func(_ journal.Place, err error) { done <- err })
	if err := <-done; !errors.Is(err, journal.ErrTooLong) {
		t.Error(err)
	}
}

// FuzzOpen: whatever is in a segment, reading it ends, and hands out only what has its checksum.
func FuzzOpen(f *testing.F) {
	folder := journaltest.New(0, journaltest.None)
	f.Add([]byte("siskinJ1"), uint16(0))
	f.Add(bytes.Repeat([]byte("SJR1\x00"), 100), uint16(24))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		dir := folder.After(journaltest.Keep, nil, 0, journaltest.None)
		file, err := dir.Create(fmt.Sprintf("%016x-%08x.seg", 1, 1), 4096)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(data[:min(len(data), 4096-int(at%4096))], int64(at%4096)); err != nil {
			t.Fatal(err)
		}
		j, _, err := open(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if w := write(j, 0, 3); len(w.kept) != 3 {
			t.Error("it does not go on")
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
