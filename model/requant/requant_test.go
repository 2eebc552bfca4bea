package requant

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"siskin/model/gguf"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/model/quant/encode"
)

// noise is a tensor of seeded normal weights.
func noise(t quant.Type, name string, dims ...int) modeltest.TensorData {
	n := 1
	for _, d := range dims {
		n *= d
	}
	rng, x := rand.New(rand.NewPCG(uint64(n), 5)), make([]float32, n)
	for i := range x {
		x[i] = float32(0.02 * rng.NormFloat64())
	}
	return modeltest.TensorData{Name: name, Type: t, Dims: dims, Data: modeltest.Encode(t, x)}
}

// someKVs are of several kinds, with keys that must change or go.
var someKVs = []modeltest.KV{
	{Key: "general.architecture", Value: "llama"},
	{Key: "general.file_type", Value: uint32(1)},
	{Key: "tokenizer.ggml.tokens", Value: []string{"a", "", "b"}},
	{Key: "llama.rope.freq_base", Value: float32(10000)},
	{Key: "quantize.imatrix.file", Value: "old"},
	{Key: "tokenizer.ggml.add_bos_token", Value: true},
}

// someTensors have rows that K formats divide, rows that only 32 divides, and rows that nothing does.
func someTensors(t quant.Type) []modeltest.TensorData {
	return []modeltest.TensorData{
		noise(t, "token_embd.weight", 256, 40),
		noise(quant.F32, "blk.0.attn_norm.weight", 256),
		noise(t, "blk.0.attn_q.weight", 256, 33),
		noise(t, "blk.0.ffn_up.weight", 96, 3),
		noise(quant.F32, "blk.0.ffn_odd.weight", 33, 3),
		noise(t, "blk.0.ffn_gate_inp.weight", 256, 4),
		noise(t, "blk.0.experts.weight", 256, 3, 2),
	}
}

func write(t *testing.T, kvs []modeltest.KV, tensors []modeltest.TensorData) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.gguf")
	if err := os.WriteFile(path, modeltest.Bytes(kvs, tensors), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t *testing.T, path string) *gguf.File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func values(t *testing.T, x gguf.Tensor) []float32 {
	t.Helper()
	out := make([]float32, x.Elements())
	if err := quant.Dequantize(x.Type, out, x.Data); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every format from F32, and back to F32 from that: metadata as it was, weights as the encoder alone makes them.
func TestEveryFormat(t *testing.T) {
	source := write(t, someKVs, someTensors(quant.F32))
	old := parse(t, source)
	for _, format := range encode.Types() {
		dest := filepath.Join(t.TempDir(), "dest.gguf")
		result, err := Create(Job{Source: source, Dest: dest, Type: format, Workers: 2})
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if info, err := os.Stat(dest); err != nil || info.Size() != result.Bytes || info.Mode().Perm() != 0o640 {
			t.Fatalf("%s: %v, %v; want %d bytes and mode 0640", format, info, err, result.Bytes)
		}
		f := parse(t, dest)
		if kind, ok := f.Uint("general.file_type"); !ok || uint32(kind) != fileTypes[format] {
			t.Errorf("%s: file type %d, %v", format, kind, ok)
		}
		checkMetadata(t, old, f)
		for i, now := range f.Tensors() {
			plan := result.Tensors[i]
			if now.Name != plan.Name || now.Type != plan.To || now.Elements() != old.Tensors()[i].Elements() {
				t.Fatalf("%s: tensor %d is %s in %s, planned %s in %s", format, i, now.Name, now.Type, plan.Name, plan.To)
			}
			n, err := now.Type.RowBytes(now.Elements())
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, n)
			if err := encode.Row(now.Type, want, values(t, old.Tensors()[i])); err != nil || string(want) != string(now.Data) {
				t.Errorf("%s: %s is not what the encoder makes of it (%v)", format, now.Name, err)
			}
		}
		back := filepath.Join(t.TempDir(), "back.gguf")
		if _, err := Create(Job{Source: dest, Dest: back, Type: quant.F32, Workers: 1}); err != nil {
			t.Fatalf("%s, back: %v", format, err)
		}
		for i, now := range parse(t, back).Tensors() {
			want := values(t, f.Tensors()[i])
			for j, v := range values(t, now) {
				if math.Float32bits(v) != math.Float32bits(want[j]) {
					t.Fatalf("%s, back: %s value %d is %g, want %g", format, now.Name, j, v, want[j])
				}
			}
		}
	}
}

// checkMetadata wants the entries of old in f, but for those that say how it was made.
func checkMetadata(t *testing.T, old, f *gguf.File) {
	t.Helper()
	now := map[string]string{}
	for key, value := range f.Raw() {
		now[key] = string(value)
	}
	for key, value := range old.Raw() {
		switch got, ok := now[key]; {
		case strings.HasPrefix(key, "quantize."):
			if ok {
				t.Errorf("%s is still there", key)
			}
		case key != "general.file_type" && got != string(value):
			t.Errorf("%s has changed", key)
		}
	}
}

func TestPlan(t *testing.T) {
	tied := parse(t, write(t, nil, someTensors(quant.F32)))
	untied := parse(t, write(t, nil, append(someTensors(quant.F16), noise(quant.F16, "output.weight", 96, 40))))
	type choice struct {
		to     quant.Type
		reason Reason
	}
	for name, c := range map[string]struct {
		file   *gguf.File
		format quant.Type
		want   []choice // of the tensors in turn
	}{
		"tied, Q4_K": {tied, quant.Q4_K, []choice{
			{quant.Q6_K, Output},
			{quant.F32, Vector},
			{quant.Q4_K, AsAsked},
			{quant.Q5_0, Columns},
			{quant.F16, Columns},
			{quant.F32, Vector},
			{quant.Q4_K, AsAsked},
		}},
		"untied, Q2_K": {untied, quant.Q2_K, []choice{
			{quant.Q2_K, AsAsked},
			{quant.F32, Vector},
			{quant.Q2_K, AsAsked},
			{quant.Q4_0, Columns},
			{quant.F16, Columns},
			{quant.F16, Vector},
			{quant.Q2_K, AsAsked},
			{quant.Q8_0, Output},
		}},
		"tied, Q8_0": {tied, quant.Q8_0, []choice{
			{quant.Q8_0, AsAsked},
			{quant.F32, Vector},
			{quant.Q8_0, AsAsked},
			{quant.Q8_0, AsAsked},
			{quant.F16, Columns},
			{quant.F32, Vector},
			{quant.Q8_0, AsAsked},
		}},
	} {
		plan, err := Plan(c.file, c.format)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range plan {
			if (choice{p.To, p.Reason}) != c.want[i] {
				t.Errorf("%s: %s becomes %s for reason %d, want %v", name, p.Name, p.To, p.Reason, c.want[i])
			}
		}
	}
}

func TestRefused(t *testing.T) {
	good := someTensors(quant.F32)
	bad := someTensors(quant.F32)
	copy(bad[2].Data[4*(256*2+5):], []byte{0, 0, 0xc0, 0x7f}) // NaN in row 2, column 5
	coded := []modeltest.TensorData{{Name: "a.weight", Type: quant.Q2_0, Dims: []int{64, 1}, Data: make([]byte, 18)}}
	for name, c := range map[string]struct {
		kvs     []modeltest.KV
		tensors []modeltest.TensorData
		want    error
		text    string
	}{
		"part of a split model": {[]modeltest.KV{{Key: "split.count", Value: uint16(3)}, {Key: "split.no", Value: uint16(1)}}, good, ErrSource, "part 2 of 3"},
		"adapter":               {[]modeltest.KV{{Key: "general.type", Value: "adapter"}}, good, ErrSource, "adapter"},
		"no decoder":            {nil, coded, ErrSource, "a.weight, of the format Q2_0"},
		"not a number":          {nil, bad, encode.ErrValue, "tensor blk.0.attn_q.weight: row 2, column 5"},
	} {
		source := write(t, c.kvs, c.tensors)
		dest := filepath.Join(t.TempDir(), "dest.gguf")
		_, err := Create(Job{Source: source, Dest: dest, Type: quant.Q4_0, Workers: 1})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.want, c.text)
		}
		empty(t, name, filepath.Dir(dest))
	}
}

// empty wants no files in dir, unfinished ones included.
func empty(t *testing.T, name, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s: left %v (%v)", name, entries, err)
	}
}

func TestDestination(t *testing.T) {
	source := write(t, someKVs, someTensors(quant.F32))
	dir := t.TempDir()
	linked, there := filepath.Join(dir, "linked.gguf"), filepath.Join(dir, "there.gguf")
	if err := errors.Join(os.Symlink(source, linked), os.WriteFile(there, []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	job := func(dest string, replace bool) Job {
		return Job{Source: source, Dest: dest, Type: quant.Q8_0, Workers: 1, Replace: replace}
	}
	if _, err := Create(job(linked, true)); !errors.Is(err, ErrSame) {
		t.Errorf("onto itself: %v", err)
	}
	if _, err := Create(job(there, false)); !errors.Is(err, ErrExists) {
		t.Errorf("onto another file: %v", err)
	}
	if _, err := Create(job(dir, true)); err == nil {
		t.Error("onto a folder: no error")
	}
	held, err := openTemporary(there+temporary, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(job(there, true)); !errors.Is(err, ErrBusy) {
		t.Errorf("while another writes: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	// What a crash left is overwritten.
	if _, err := Create(job(there, true)); err != nil {
		t.Fatal(err)
	}
	parse(t, there)
}

// full is a disk with room for some writes only.
type full struct {
	target
	writes *int
}

func (f full) WriteAt(p []byte, off int64) (int, error) {
	if *f.writes--; *f.writes < 0 {
		return 0, syscall.ENOSPC
	}
	return f.target.WriteAt(p, off)
}

func (f full) Sync() error {
	if *f.writes--; *f.writes < 0 {
		return syscall.EIO
	}
	return f.target.Sync()
}

// Wherever the disk fails, or the caller ends it, an old file stays and nothing new is left.
func TestFailuresLeaveTheOldFile(t *testing.T) {
	source := write(t, someKVs, someTensors(quant.F32))
	dir := t.TempDir()
	dest := filepath.Join(dir, "dest.gguf")
	if err := os.WriteFile(dest, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	unharmed := func(name string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		data, err2 := os.ReadFile(dest)
		if err != nil || err2 != nil || len(entries) != 1 || string(data) != "old" {
			t.Fatalf("%s: %v, %q (%v, %v)", name, entries, data, err, err2)
		}
	}
	job := Job{Source: source, Dest: dest, Type: quant.Q8_0, Workers: 1, Replace: true}
	for allowed := 0; ; allowed++ {
		left := allowed
		_, err := create(job, func(f *os.File, n int64) (target, error) {
			inner, err := reserve(f, n)
			return full{inner, &left}, err
		})
		if err == nil {
			if allowed < 8 { // header, seven tensors, sync
				t.Errorf("it was finished after %d writes", allowed)
			}
			break
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "dest.gguf") {
			t.Fatalf("after %d writes: %v", allowed, err)
		}
		unharmed("full disk")
	}
	if err := os.WriteFile(dest, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	job.Step = func(done, total int64) error {
		if done > total/2 {
			return stop
		}
		return nil
	}
	if _, err := Create(job); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	unharmed("stopped")
	job.Step = nil
	_, err := create(job, func(*os.File, int64) (target, error) { return nil, syscall.ENOSPC })
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no room: %v", err)
	}
	unharmed("no room")
}

// Memory does not grow with the model: 16 MB of weights in one tensor, a fraction of it allocated.
func TestBoundedMemory(t *testing.T) {
	source := write(t, nil, []modeltest.TensorData{
		{Name: "a.weight", Type: quant.F32, Dims: []int{1024, 4096}, Data: make([]byte, 16<<20)},
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var steps int
	_, err := Create(Job{Source: source, Dest: filepath.Join(t.TempDir(), "dest.gguf"), Type: quant.Q4_0, Workers: 2, Step: func(done, total int64) error {
		steps++
		if total != 1024*4096 || done > total {
			t.Errorf("%d of %d", done, total)
		}
		return nil
	}})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("allocated %d bytes", got)
	}
	if steps != 1024*4096/pieceValues/2 {
		t.Errorf("%d steps", steps)
	}
}
