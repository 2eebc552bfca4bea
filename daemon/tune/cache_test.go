package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testKey() Key {
	return Key{Path: "/m.gguf", Size: 5, Modified: 7, Kernels: "avx2", CPU: "a CPU", Threads: 4, Version: "1"}
}

func testResult() Result {
	return Result{Counts: Counts{2, 4}, Speeds: []Speed{{Threads: 2, Decode: 10, Prefill: 100}, {Threads: 4, Decode: 9, Prefill: 190}}}
}

func TestCacheKeeps(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state", "siskin")
	if r, ok := Load(folder, testKey()); ok {
		t.Fatalf("no folder: %+v", r)
	}
	if err := Save(folder, testKey(), testResult()); err != nil {
		t.Fatal(err)
	}
	if r, ok := Load(folder, testKey()); !ok || !reflect.DeepEqual(r, testResult()) {
		t.Fatalf("%v %+v", ok, r)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 {
		t.Errorf("%v %v: want one file", files, err)
	}
}

// Every part of the key counts.
func TestCacheTellsKeysApart(t *testing.T) {
	folder := t.TempDir()
	if err := Save(folder, testKey(), testResult()); err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Key]().NumField() {
		k := testKey()
		switch f := reflect.ValueOf(&k).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		default:
			f.SetInt(f.Int() + 1)
		}
		if r, ok := Load(folder, k); ok {
			t.Errorf("%+v: %+v", k, r)
		}
	}
}

func TestCacheReplacesAndForgets(t *testing.T) {
	folder := t.TempDir()
	for i := range 2 * maxEntries {
		for _, version := range []string{"1", "2"} {
			k := testKey()
			k.Path, k.Version = fmt.Sprintf("/%d.gguf", i), version
			if err := Save(folder, k, testResult()); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries := load(folder)
	if len(entries) != maxEntries {
		t.Errorf("%d entries, want %d", len(entries), maxEntries)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("/%d.gguf", maxEntries+i); e.Key.Path != want || e.Key.Version != "2" {
			t.Errorf("entry %d: %+v", i, e.Key)
		}
	}
}

// A damaged cache, or another file, holds nothing, and the next Save makes it whole again.
func TestCacheSurvivesDamage(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, fileName)
	if err := Save(folder, testKey(), testResult()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "other": "{}", "numbers": "[1, 2]", "null": "null", "binary": "\x00\x01",
		"too many threads": strings.Replace(string(good), `"prefill": 4`, `"prefill": 5`, 1),
		"no threads":       strings.Replace(string(good), `"decode": 2`, `"decode": 0`, 1),
		"huge":             string(good[:len(good)-2]) + strings.Repeat(" ", maxFileBytes) + "]",
	}
	for name, text := range damaged {
		if text == string(good) {
			t.Fatalf("%s: is not damaged", name)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, ok := Load(folder, testKey()); ok {
			t.Errorf("%s: %+v", name, r)
		}
		if err := Save(folder, testKey(), testResult()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := Load(folder, testKey()); !ok {
			t.Errorf("%s: not whole again", name)
		}
	}
}

func TestSaveFails(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Save(filepath.Join(folder, "file"), testKey(), testResult()); err == nil {
		t.Error("a file is no folder")
	}
	// The file's place is taken by a folder that is not empty.
	if err := os.MkdirAll(filepath.Join(folder, fileName, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Save(folder, testKey(), testResult()); err == nil {
		t.Error("a folder is no file")
	}
	left, err := filepath.Glob(filepath.Join(folder, fileName+".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestKeyOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.gguf")
	if _, err := KeyOf(file, "avx2", "cpu", 4, "1"); err == nil {
		t.Error("no file, no error")
	}
	if err := os.WriteFile(file, []byte("model"), 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Unix(5, 6000)
	if err := os.Chtimes(file, then, then); err != nil {
		t.Fatal(err)
	}
	k, err := KeyOf(file, "avx2", "cpu", 4, "1")
	if want := (Key{file, 5, then.UnixNano(), "avx2", "cpu", 4, "1"}); err != nil || k != want {
		t.Errorf("%+v %v, want %+v", k, err, want)
	}
	t.Chdir(filepath.Dir(file))
	if relative, err := KeyOf("m.gguf", "avx2", "cpu", 4, "1"); err != nil || relative != k {
		t.Errorf("%+v %v, want %+v", relative, err, k)
	}
}
