// Package goldentest finds what tests need from outside the repository: the reference data and the default model. It is
// for tests only. Where something is absent the test is skipped with the reason, or fails where SISKIN_TEST_REQUIRE=1
// says that this machine must have it.
package goldentest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// DefaultModel is the file name of the model that `make model` fetches.
const DefaultModel = "SmolLM2-135M-Instruct.Q4_1.gguf"

// Missing skips the test, or fails it under SISKIN_TEST_REQUIRE=1. It does not return.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("SISKIN_TEST_REQUIRE") == "1" {
		t.Fatalf("required by SISKIN_TEST_REQUIRE=1: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

// Root returns the root of the repository: the folder with go.mod above the test's own.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// Path returns the path of a file or folder of the reference data: below SISKIN_GOLDEN if that is set, else below
// ../shared/golden beside the repository.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	base := os.Getenv("SISKIN_GOLDEN")
	if base == "" {
		base = filepath.Join(Root(t), "..", "shared", "golden")
	}
	path := filepath.Join(append([]string{base}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		Missing(t, "reference data %s: %v", path, err)
	}
	return path
}

// JSON reads a file of the reference data into v.
func JSON(t testing.TB, v any, elem ...string) {
	t.Helper()
	data, err := os.ReadFile(Path(t, elem...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", filepath.Join(elem...), err)
	}
}

// Model returns the path of the default model: SISKIN_TEST_MODEL, or the one in the models folder of the repository.
func Model(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SISKIN_TEST_MODEL")
	if path == "" {
		path = filepath.Join(Root(t), "models", DefaultModel)
	}
	if _, err := os.Stat(path); err != nil {
		Missing(t, "default model (make model fetches it): %v", err)
	}
	return path
}
