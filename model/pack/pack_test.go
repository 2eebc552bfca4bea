package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model/quant"
)

// fixture is a model file as far as packing is concerned: tensors of noise at odd offsets.
type fixture struct {
	dir, model, dst string
	data            []byte
	job             Job
}

// newFixture makes a model file with a tensor for each shape {rows, columns}, in turns of the given types.
func newFixture(t testing.TB, types []quant.Type, shapes ...[2]int) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.model, f.dst = filepath.Join(f.dir, "m.gguf"), filepath.Join(f.dir, "m.packed")
	rng := rand.New(rand.NewPCG(1, uint64(len(shapes))))
	noise := func(n int) {
		for range n {
			f.data = append(f.data, byte(rng.Uint32()))
		}
	}
	noise(301)
	f.job = Job{Model: f.model, Packing: quant.Packing{Unit: 4}}
	for i, s := range shapes {
		p := Part{Name: fmt.Sprintf("t%d", i), Type: types[i%len(types)], Rows: s[0], Cols: s[1], Offset: int64(len(f.data))}
		rowBytes, err := p.Type.RowBytes(p.Cols)
		if err != nil {
			t.Fatal(err)
		}
		noise(p.Rows*rowBytes + 17)
		f.job.Tensors = append(f.job.Tensors, p)
	}
	f.write(t, f.model, f.data)
	return f
}

// small has tails of one and of 15 rows and one without.
func small(t testing.TB) *fixture {
	return newFixture(t, []quant.Type{quant.Q4_1, quant.Q6_K, quant.Q8_0}, [2]int{33, 256}, [2]int{31, 512}, [2]int{16, 32})
}

func (f *fixture) write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) read(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(f.dst)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f *fixture) create(t testing.TB) []byte {
	t.Helper()
	if err := Create(f.dst, f.job); err != nil {
		t.Fatal(err)
	}
	return f.read(t)
}

// check compares every row of a packed file with the model file.
func (f *fixture) check(t testing.TB, data []byte) *File {
	t.Helper()
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(nil); err != nil {
		t.Fatal(err)
	}
	if len(p.Tensors) != len(f.job.Tensors) || p.Packing != f.job.Packing || p.Source.SHA256 != sha256.Sum256(f.data) {
		t.Fatalf("%d tensors, %+v, sum %x", len(p.Tensors), p.Packing, p.Source.SHA256)
	}
	for i, part := range f.job.Tensors {
		got, ok := p.Tensor(part.Name)
		rowBytes := len(got.Data) / part.Rows
		if !ok || got.Type != part.Type || got.Rows != part.Rows || got.Cols != part.Cols || p.Tensors[i].Name != part.Name ||
			got.Interleaved != part.Rows/16*16 || got.offset%4096 != 0 {
			t.Fatalf("tensor %s: %+v", part.Name, got)
		}
		row := make([]byte, rowBytes)
		for r := range part.Rows {
			if r < got.Interleaved {
				quant.UnpackRow(got.Type, p.Packing, row, got.Data[r/16*16*rowBytes:][:16*rowBytes], r%16, got.Cols)
			} else {
				copy(row, got.Data[r*rowBytes:])
			}
			if !bytes.Equal(row, f.data[int(part.Offset)+r*rowBytes:][:rowBytes]) {
				t.Fatalf("tensor %s: row %d is not that of the model", part.Name, r)
			}
		}
	}
	return p
}

func TestCreate(t *testing.T) {
	for _, unit := range []int{1, 4, 8} {
		f := small(t)
		f.job.Packing.Unit = unit
		steps, last := 0, int64(0)
		f.job.Step = func(done, total int64) error {
			if done <= last || done > total {
				t.Errorf("%d of %d bytes after %d", done, total, last)
			}
			steps, last = steps+1, done
			return nil
		}
		data := f.create(t)
		f.check(t, data)
		if n, err := f.job.Length(); err != nil || n != int64(len(data)) {
			t.Errorf("length %d, %v, want %d", n, err, len(data))
		}
		if steps < 5 {
			t.Errorf("%d steps", steps)
		}
		info, err := os.Stat(f.dst)
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v: want that of the model", info.Mode(), err)
		}
		if items, err := os.ReadDir(f.dir); err != nil || len(items) != 2 {
			t.Errorf("left behind: %v %v", items, err)
		}
		f.job.Step = nil
		if again := f.create(t); !bytes.Equal(again, data) {
			t.Error("the same again is another file")
		}
	}
}

// Rows wider than a chunk, and tensors of many chunks.
func TestCreateLarge(t *testing.T) {
	f := newFixture(t, []quant.Type{quant.Q8_0}, [2]int{17, 1 << 17}, [2]int{12345, 320})
	f.check(t, f.create(t))
}

func TestFits(t *testing.T) {
	f := small(t)
	p := f.check(t, f.create(t))
	info, err := os.Stat(f.model)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := Stamp(bytes.NewReader(f.data), info.Size())
	if err != nil {
		t.Fatal(err)
	}
	same := Source{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Stamp: stamp}
	sum := sha256.Sum256(f.data)
	for name, c := range map[string]struct {
		change func(s *Source, p *quant.Packing)
		want   string
	}{
		"the same":                    {func(*Source, *quant.Packing) {}, ""},
		"touched":                     {func(s *Source, _ *quant.Packing) { s.ModTime++ }, "was written after"},
		"touched, with its sum":       {func(s *Source, _ *quant.Packing) { s.ModTime++; s.SHA256 = sum }, ""},
		"touched, with another sum":   {func(s *Source, _ *quant.Packing) { s.ModTime++; s.SHA256[3] = sum[3] }, "was written after"},
		"longer":                      {func(s *Source, _ *quant.Packing) { s.Size++; s.SHA256 = sum }, "another model"},
		"other samples, with its sum": {func(s *Source, _ *quant.Packing) { s.Stamp[31]++; s.SHA256 = sum }, "another model"},
		"another unit":                {func(_ *Source, p *quant.Packing) { p.Unit = 8 }, "units of 4 bytes"},
	} {
		s, packing := same, f.job.Packing
		c.change(&s, &packing)
		err := p.Fits(&s, packing)
		if (err == nil) != (c.want == "") || (err != nil && (!errors.Is(err, ErrStale) || !strings.Contains(err.Error(), c.want))) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// The stamp sees the ends and every sixteenth of a file, and reads no file beyond its end.
func TestStamp(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 70_000, 1_000_003} {
		data := bytes.Repeat([]byte{7}, size)
		stamp := func() [32]byte {
			s, err := Stamp(bytes.NewReader(data), int64(size))
			if err != nil {
				t.Fatal(size, err)
			}
			return s
		}
		before := stamp()
		for _, at := range []int{0, size - 1, max(0, size-4096) / 15 * 7} {
			if size == 0 {
				continue
			}
			data[at]++
			if stamp() == before {
				t.Errorf("%d bytes: a change of byte %d is not seen", size, at)
			}
			data[at]--
		}
		if _, err := Stamp(bytes.NewReader(data), int64(size)+1); err == nil {
			t.Errorf("%d bytes: no error although one is missing", size)
		}
	}
}

// Where a byte goes is what Layout is the version of: if this fails, raise Layout and write the new sums here.
func TestLayout(t *testing.T) {
	types := []quant.Type{
		quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q8_0, quant.Q2_K, quant.Q3_K, quant.Q4_K, quant.Q5_K, quant.Q6_K,
		quant.IQ4_NL, quant.IQ4_XS,
	}
	want := map[int]string{1: "efdd6f0acaa0077f", 4: "7b687edc3de80814", 8: "db5df70ce4d95a87"}
	for unit, want := range want {
		h := sha256.New()
		for _, typ := range types {
			rowBytes, err := typ.RowBytes(512)
			if err != nil {
				t.Fatal(err)
			}
			src, dst := make([]byte, 16*rowBytes), make([]byte, 16*rowBytes)
			for i := range src {
				src[i] = byte(i*i>>8 ^ i)
			}
			quant.PackGroup(typ, quant.Packing{Unit: unit}, dst, src, 512)
			h.Write(dst)
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("layout %d, unit %d: sum %s, want %s", Layout, unit, got, want)
		}
	}
}

// resign corrects the checksum of a header that was changed on purpose.
func resign(data []byte) {
	start := min(binary.LittleEndian.Uint64(data[32:]), uint64(len(data)))
	if start > summedFrom {
		binary.LittleEndian.PutUint32(data[12:], checksum(0, data[summedFrom:start]))
	}
}

// Every length and every flipped bit of header and directory is found out by the checksum.
func TestDamage(t *testing.T) {
	f := small(t)
	data := f.create(t)
	for n := range data {
		if n > 5000 && n%997 != 0 && n < len(data)-10 {
			continue
		}
		if _, err := Parse(data[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(data), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
	for i := range 4096 {
		data[i] ^= 1 << (i % 8)
		if _, err := Parse(data); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrStale) {
			t.Fatalf("byte %d changed: %v", i, err)
		} else if i >= 48 && !strings.Contains(err.Error(), "checksum") { // behind the lengths, which are looked at first
			t.Fatalf("byte %d changed: %v: not found by the checksum", i, err)
		}
		data[i] ^= 1 << (i % 8)
	}
	p := f.check(t, data)
	for i := 4096; i < len(data); i += 61 {
		data[i] ^= 4
		if err := p.Verify(nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		data[i] ^= 4
	}
	stop := errors.New("stop")
	if err := p.Verify(func(int64) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
}

// Hostile headers, with the right checksum: every number is checked.
func TestHostile(t *testing.T) {
	f := small(t)
	good := f.create(t)
	le := binary.LittleEndian
	u32 := func(at int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[at:], v) } }
	u64 := func(at int, v uint64) func([]byte) { return func(b []byte) { le.PutUint64(b[at:], v) } }
	const entry = headerLen + entryLen // the second tensor
	for name, c := range map[string]struct {
		change func([]byte)
		want   error
	}{
		"version":            {u32(8, 2), ErrStale},
		"layout":             {u32(16, 2), ErrStale},
		"unit 0":             {u32(20, 0), ErrDamaged},
		"unit 3":             {u32(20, 3), ErrDamaged},
		"unit 16":            {u32(20, 16), ErrDamaged},
		"unit huge":          {u32(20, 1<<31), ErrDamaged},
		"no tensors":         {u32(24, 0), ErrDamaged},
		"fewer tensors":      {u32(24, 2), ErrDamaged},
		"more tensors":       {u32(24, 4), ErrDamaged},
		"2^32-1 tensors":     {u32(24, 1<<32-1), ErrDamaged},
		"reserved":           {u32(28, 1), ErrDamaged},
		"start 0":            {u64(32, 0), ErrDamaged},
		"start 127":          {u64(32, 127), ErrDamaged},
		"start behind":       {u64(32, uint64(len(good))+1), ErrDamaged},
		"start huge":         {u64(32, 1<<64-1), ErrDamaged},
		"start another page": {u64(32, 8192), ErrDamaged},
		"length":             {u64(40, uint64(len(good))-4096), ErrDamaged},
		"length huge":        {u64(40, 1<<64-1), ErrDamaged},
		"name empty":         {func(b []byte) { b[entry], b[entry+1] = 0, 0 }, ErrDamaged},
		"name twice":         {func(b []byte) { b[entry+1] = '0' }, ErrDamaged},
		"name with more":     {func(b []byte) { b[entry+9] = 'x' }, ErrDamaged},
		"name too long":      {func(b []byte) { copy(b[entry:], strings.Repeat("n", 64)) }, ErrDamaged},
		"type float":         {u32(entry+64, uint32(quant.F32)), ErrDamaged},
		"type unknown":       {u32(entry+64, 4), ErrDamaged},
		"type huge":          {u32(entry+64, 1<<32-1), ErrDamaged},
		"type of other size": {u32(entry+64, uint32(quant.Q2_K)), ErrDamaged},
		"rows 0":             {u64(entry+72, 0), ErrDamaged},
		"rows 15":            {u64(entry+72, 15), ErrDamaged},
		"rows more":          {u64(entry+72, 320), ErrDamaged},
		"rows negative":      {u64(entry+72, 1<<63), ErrDamaged},
		"rows huge":          {u64(entry+72, 1<<62), ErrDamaged},
		"columns 0":          {u64(entry+80, 0), ErrDamaged},
		"columns odd":        {u64(entry+80, 511), ErrDamaged},
		"columns huge":       {u64(entry+80, 1<<62), ErrDamaged},
		"columns negative":   {u64(entry+80, 1<<64-256), ErrDamaged},
		"offset":             {u64(entry+88, 4096), ErrDamaged},
		"offset unaligned":   {u64(entry+88, 1), ErrDamaged},
		"tensor length":      {u64(entry+96, 64), ErrDamaged},
		"interleaved":        {u64(entry+104, 32), ErrDamaged},
		"padding":            {func(b []byte) { b[4095] = 1 }, ErrDamaged},
	} {
		data := bytes.Clone(good)
		c.change(data)
		resign(data)
		if _, err := Parse(data); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	resign(good)
	f.check(t, good)
}

// FuzzParse: no panic, and what is accepted lies inside the file and is what encode writes.
func FuzzParse(f *testing.F) {
	f.Add(small(f).create(f)[:8192])
	f.Add(newFixture(f, []quant.Type{quant.Q4_0}, [2]int{16, 32}).create(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= headerLen {
			resign(data)
		}
		p, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrStale) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		for _, n := range p.Tensors {
			if rowBytes, err := n.Type.RowBytes(n.Cols); err != nil || n.Rows < 16 || rowBytes*n.Rows != len(n.Data) || n.Interleaved > n.Rows {
				t.Errorf("accepted %+v, %d bytes", n, len(n.Data))
			}
			if got, ok := p.Tensor(n.Name); !ok || got.offset != n.offset {
				t.Errorf("tensor %q is not found", n.Name)
			}
		}
		if err := p.Verify(nil); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

func TestName(t *testing.T) {
	if got := Name("m.gguf", quant.Packing{Unit: 4}); got != "m.gguf.packed-4-1" {
		t.Error(got)
	}
}
