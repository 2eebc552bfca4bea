package memory_test

import (
	"context"
	"os"
	"testing"
	"time"

	"siskin/daemon/memory"
)

func TestPressureOf(t *testing.T) {
	const text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{nil, ""},
		{map[string]string{"proc/pressure/memory": text}, "/proc/pressure/memory"},
		{map[string]string{"proc/pressure/memory": text, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.pressure": text}, "/sys/fs/cgroup/a/memory.pressure"},
		{map[string]string{"proc/pressure/memory": text, "proc/self/cgroup": "0::/\n"}, "/proc/pressure/memory"},
	} {
		if got := memory.PressureOf(system(c.files)); got.File != c.want {
			t.Errorf("%v: %q, want %q", c.files, got.File, c.want)
		}
	}
}

// Without a trigger the averages decide.
func TestWatchByReading(t *testing.T) {
	for text, want := range map[string]bool{
		"some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n": true,
		"some avg10=1.00 avg60=90.00 avg300=0.00 total=0\n":                  false,
		"nonsense": false,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		told := false
		p := memory.Pressure{File: "/nowhere/pressure", Trigger: "some"}
		p.Watch(ctx, system(map[string]string{"nowhere/pressure": text}), func() { told = true; cancel() })
		cancel()
		if told != want {
			t.Errorf("%q: told %v, want %v", text, told, want)
		}
	}
}

// This system's own file takes the trigger, and waiting for it ends with the context.
func TestWatchThisSystem(t *testing.T) {
	p := memory.PressureOf(os.DirFS("/"))
	if p.File == "" {
		t.Skip("SKIPPED: no pressure stall information here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	p.Watch(ctx, os.DirFS("/"), func() { t.Log("there is pressure just now") })
	if took := time.Since(begun); took > 3*time.Second || took < 40*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
}

func TestNothingToWatch(t *testing.T) {
	for _, file := range []string{"", "/dev/null"} {
		memory.Pressure{File: file}.Watch(t.Context(), system(nil), func() { t.Error("told") }) // returns
	}
}
