package pack

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/model/quant"
)

// failing is the disk until call number at; that call fails, having done a part of its work, and if crash is set so does
// every later one, as if the machine had stopped.
type failing struct {
	disk
	calls int
	at    int
	crash bool
	log   []string // names of the calls
}

var errInjected = errors.New("injected failure")

// fails counts a call.
func (s *failing) fails(name string) bool {
	s.calls++
	s.log = append(s.log, name)
	return s.calls == s.at || s.crash && s.calls > s.at
}

func (s *failing) open(path string, flag int, mode fs.FileMode) (target, error) {
	if s.fails("open") {
		return nil, errInjected
	}
	f, err := s.disk.open(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return failingFile{f, s}, nil
}

func (s *failing) stat(path string) (fs.FileInfo, error) {
	if s.fails("stat") {
		return nil, errInjected
	}
	return s.disk.stat(path)
}

func (s *failing) rename(from, to string) error {
	if s.fails("rename") {
		return errInjected
	}
	return s.disk.rename(from, to)
}

func (s *failing) remove(path string) error {
	if s.fails("remove") {
		return errInjected
	}
	return s.disk.remove(path)
}

func (s *failing) syncDir(dir string) error {
	if s.fails("syncDir") {
		return errInjected
	}
	return s.disk.syncDir(dir)
}

type failingFile struct {
	target
	s *failing
}

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if f.s.fails("ReadAt") {
		return 0, errInjected
	}
	return f.target.ReadAt(p, off)
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if !f.s.fails("WriteAt") {
		return f.target.WriteAt(p, off)
	}
	if f.s.calls > f.s.at {
		return 0, errInjected
	}
	n, err := f.target.WriteAt(p[:len(p)/2], off) // as on a full disk
	return n, errors.Join(errInjected, err)
}

func (f failingFile) Stat() (fs.FileInfo, error) {
	if f.s.fails("Stat") {
		return nil, errInjected
	}
	return f.target.Stat()
}

func (f failingFile) Truncate(n int64) error {
	if f.s.fails("Truncate") {
		return errInjected
	}
	return f.target.Truncate(n)
}

func (f failingFile) Chmod(m fs.FileMode) error {
	if f.s.fails("Chmod") {
		return errInjected
	}
	return f.target.Chmod(m)
}

func (f failingFile) Sync() error {
	if f.s.fails("Sync") {
		return errInjected
	}
	return f.target.Sync()
}

func (f failingFile) lock() (bool, error) {
	if f.s.fails("lock") {
		return false, errInjected
	}
	return f.target.lock()
}

// Close always closes, so that the test does not run out of descriptors; the lock of a stopped machine is gone too.
func (f failingFile) Close() error {
	failed := f.s.fails("Close")
	err := f.target.Close()
	if failed {
		return errInjected
	}
	return err
}

// Whichever call fails, alone or with all that follow, the name has nothing, or what it had, or the whole new file; and the
// next Create succeeds.
func TestEveryFailure(t *testing.T) {
	f := small(t)
	good := f.create(t)
	old := []byte("what was there before")
	for _, crash := range []bool{false, true} {
		at := 0
		for done := false; !done; {
			at++
			f.write(t, f.dst, old)
			sys := &failing{at: at, crash: crash}
			err := create(sys, f.dst, f.job)
			done = sys.calls < at
			if done != (err == nil) || (err != nil && !errors.Is(err, errInjected)) {
				t.Fatalf("call %d of %d: error %v", at, sys.calls, err)
			}
			if got := f.read(t); !bytes.Equal(got, good) && !bytes.Equal(got, old) {
				t.Fatalf("call %d, crash %v: there are %d bytes that are neither the old nor the new file", at, crash, len(got))
			}
			_, err = os.Stat(f.dst + temporary)
			if left := err == nil; left && !crash && sys.calls < at {
				t.Errorf("call %d: an unfinished file was left", at)
			}
			if left := f.unfinished(t); left != nil {
				if _, err := Parse(left); err == nil && !bytes.Equal(left, good) {
					t.Fatalf("call %d: half a file looks like a whole one", at)
				}
			}
			if got := f.create(t); !bytes.Equal(got, good) {
				t.Fatalf("call %d: the next file is another one", at)
			}
		}
		if at < 30 {
			t.Errorf("only %d calls were made to fail", at)
		}
	}
}

// Data is on disk before the header is written, the header before the file gets its name, and then the name.
func TestOrder(t *testing.T) {
	f := small(t)
	sys := &failing{}
	if err := create(sys, f.dst, f.job); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, name := range sys.log {
		if slices.Contains([]string{"WriteAt", "Sync", "rename", "syncDir"}, name) && (len(order) == 0 || order[len(order)-1] != name) {
			order = append(order, name)
		}
	}
	if got := strings.Join(order, " "); got != "WriteAt Sync WriteAt Sync rename syncDir" {
		t.Errorf("order: %s", got)
	}
}

// What an interrupted Create left, longer than the file will be, is gone.
func TestLongLeftover(t *testing.T) {
	f := small(t)
	good := f.create(t)
	f.write(t, f.dst+temporary, bytes.Repeat([]byte{1}, 2*len(good)))
	if got := f.create(t); !bytes.Equal(got, good) {
		t.Errorf("%d bytes, want %d", len(got), len(good))
	}
}

// unfinished is the contents of the temporary file; nil if there is none.
func (f *fixture) unfinished(t *testing.T) []byte {
	data, err := os.ReadFile(f.dst + temporary)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return data
}

// lying is a disk that changes a bit of what is written.
type lying struct{ disk }

func (lying) open(path string, flag int, mode fs.FileMode) (target, error) {
	f, err := disk{}.open(path, flag, mode)
	return lyingFile{f}, err
}

type lyingFile struct{ target }

func (f lyingFile) WriteAt(p []byte, off int64) (int, error) {
	p = bytes.Clone(p)
	p[len(p)/2] ^= 16
	return f.target.WriteAt(p, off)
}

func TestReadBack(t *testing.T) {
	f := small(t)
	if err := create(lying{}, f.dst, f.job); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "t0") {
		t.Errorf("error %v", err)
	}
	if items, err := os.ReadDir(f.dir); err != nil || len(items) != 1 {
		t.Errorf("left behind: %v %v", items, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	f := small(t)
	part := func(change func(p *Part)) Job {
		job := f.job
		job.Tensors = append([]Part(nil), job.Tensors...)
		change(&job.Tensors[1])
		return job
	}
	for name, c := range map[string]struct {
		job  Job
		want string
	}{
		"no model":       {Job{Model: filepath.Join(f.dir, "none"), Packing: f.job.Packing, Tensors: f.job.Tensors}, "none"},
		"few rows":       {part(func(p *Part) { p.Rows = 15 }), "t1"},
		"odd columns":    {part(func(p *Part) { p.Cols = 3 }), "t1"},
		"floats":         {part(func(p *Part) { p.Type = quant.F16 }), "F16"},
		"no name":        {part(func(p *Part) { p.Name = "" }), "name"},
		"behind the end": {part(func(p *Part) { p.Offset = int64(len(f.data)) - 100 }), "ends before"},
	} {
		if err := Create(f.dst, c.job); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	stop := errors.New("stop")
	f.job.Step = func(int64, int64) error { return stop }
	if err := Create(f.dst, f.job); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	if items, err := os.ReadDir(f.dir); err != nil || len(items) != 1 {
		t.Errorf("left behind: %v %v", items, err)
	}
}

// A model that is written to, or replaced, while it is packed gives no packed file.
func TestModelChanges(t *testing.T) {
	for name, change := range map[string]func(f *fixture) error{
		"cut":     func(f *fixture) error { return os.Truncate(f.model, 1000) },
		"touched": func(f *fixture) error { return os.Chtimes(f.model, time.Time{}, time.Now().Add(time.Hour)) },
		"replaced": func(f *fixture) error {
			return errors.Join(os.WriteFile(f.model+".new", f.data, 0o600), os.Rename(f.model+".new", f.model))
		},
	} {
		f := small(t)
		f.job.Step = func(done, total int64) error {
			if done < total {
				return nil
			}
			return change(f)
		}
		if err := Create(f.dst, f.job); !errors.Is(err, ErrChanged) {
			t.Errorf("%s at the end: %v", name, err)
		}
		changed := false
		f.write(t, f.model, f.data)
		f.job.Step = func(int64, int64) error {
			if changed {
				return nil
			}
			changed = true
			return change(f)
		}
		if err := Create(f.dst, f.job); !errors.Is(err, ErrChanged) {
			t.Errorf("%s at the start: %v", name, err)
		}
		if _, err := os.Stat(f.dst); err == nil {
			t.Errorf("%s: there is a packed file", name)
		}
	}
}

// Many at once: one makes the file, the others are told so, and nobody sees half of it.
func TestConcurrentCreate(t *testing.T) {
	f := small(t)
	good := f.create(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wg.Go(func() {
			for range 10 {
				err := Create(f.dst, f.job)
				if err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
				data, readErr := os.ReadFile(f.dst)
				if readErr != nil || !bytes.Equal(data, good) {
					t.Errorf("%d bytes, %v", len(data), readErr)
				}
				mu.Lock()
				if err == nil {
					made++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if made == 0 {
		t.Error("nobody made the file")
	}
	if f.unfinished(t) != nil {
		t.Error("an unfinished file was left")
	}
}

// resident is the memory of this process in bytes, without what is mapped from files; 0 where the system does not say.
func resident() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return kb << 10
		}
	}
	return 0
}

// A model of 200 MB, most of it a hole, takes a few chunks of memory.
func TestBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	f := small(t)
	const rows, cols = 1 << 16, 3200
	if err := os.Truncate(f.model, rows*cols/32*34); err != nil {
		t.Fatal(err)
	}
	f.job.Tensors = []Part{{Name: "wide", Type: quant.Q8_0, Rows: rows, Cols: cols}}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	base, most := resident(), 0
	steps := 0
	f.job.Step = func(int64, int64) error {
		if steps++; steps%16 == 0 { // looking takes memory too
			most = max(most, resident())
		}
		return nil
	}
	if err := Create(f.dst, f.job); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const limit = 16 << 20
	if n := after.TotalAlloc - before.TotalAlloc; n > limit {
		t.Errorf("%d bytes were allocated, at most %d are wanted", n, limit)
	}
	if most-base > limit {
		t.Errorf("the process grew by %d bytes, at most %d are wanted", most-base, limit)
	}
	info, err := os.Stat(f.dst)
	if err != nil || info.Size() < 200<<20 {
		t.Errorf("%v %v", info, err)
	}
	t.Logf("%d bytes allocated, grown by %d", after.TotalAlloc-before.TotalAlloc, most-base)
}

// A folder that may not be written to is said by name.
func TestReadOnlyFolder(t *testing.T) {
	f := small(t)
	locked := filepath.Join(f.dir, "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	err := Create(filepath.Join(locked, "m.packed"), f.job)
	if os.Geteuid() == 0 {
		// root writes everywhere: a folder that is a file stands for it.
		err = Create(filepath.Join(f.model, "m.packed"), f.job)
	}
	if err == nil || !strings.Contains(err.Error(), "m.packed") {
		t.Errorf("error %v", err)
	}
}
