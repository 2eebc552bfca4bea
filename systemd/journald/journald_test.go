package journald

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"golang.org/x/sys/unix"
)

// journal is a socket that reads entries as the journal does.
type journal struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &journal{t, conn, path}
}

// next returns the fields of the next entry, by datagram or by file; nil if there is none.
func (j *journal) next(wait time.Duration) map[string]string {
	j.t.Helper()
	if err := j.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		j.t.Fatal(err)
	}
	data, control := make([]byte, 1<<20), make([]byte, 1<<10)
	n, oobn, _, _, err := j.conn.ReadMsgUnix(data, control)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		j.t.Fatal(err)
	}
	data = data[:n]
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(control[:oobn])
		if err != nil {
			j.t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			j.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "entry")
		defer f.Close()
		if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_WRITE == 0 {
			j.t.Errorf("seals %x, %v", seals, err)
		}
		if data, err = io.ReadAll(io.NewSectionReader(f, 0, 16<<20)); err != nil {
			j.t.Fatal(err)
		}
	}
	return fields(j.t, string(data))
}

func fields(t *testing.T, entry string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for entry != "" {
		line, rest, ok := strings.Cut(entry, "\n")
		if !ok {
			t.Fatalf("no end: %.100q", entry)
		}
		if name, value, ok := strings.Cut(line, "="); ok {
			out[name], entry = value, rest
			continue
		}
		size := binary.LittleEndian.Uint64([]byte(rest))
		out[line], entry = rest[8:8+size], rest[8+size+1:]
	}
	return out
}

func open(t *testing.T, j *journal, level slog.Level) *slog.Logger {
	t.Helper()
	h, err := Open(j.path, "siskin", level)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return slog.New(h)
}

func TestEntries(t *testing.T) {
	j := newJournal(t)
	log := open(t, j, slog.LevelInfo)
	long := strings.Repeat("x", 2<<20)
	for _, c := range []struct {
		write func()
		want  map[string]string
	}{
		{func() { log.Info("answered", "id", "g-1", "queue_ms", 7, "err", errors.New("no")) }, map[string]string{
			"MESSAGE": "answered id=g-1 queue_ms=7 err=no", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "siskin", "SISKIN_ID": "g-1", "SISKIN_QUEUE_MS": "7", "SISKIN_ERR": "no",
		}},
		{func() { log.Debug("not wanted"); log.Warn("two\nlines", "a.b", "c\nPRIORITY=0\n") }, map[string]string{
			"MESSAGE": "two\nlines a.b=c\nPRIORITY=0\n", "PRIORITY": "4", "SISKIN_A_B": "c\nPRIORITY=0\n",
		}},
		{func() { log.With("k", 1).WithGroup("g").Error("e", slog.Group("in", "_x", true), "9", 2) }, map[string]string{
			"MESSAGE": "e in=[_x=true] 9=2", "PRIORITY": "3", "SISKIN_K": "1", "SISKIN_G_IN_X_X": "true", "SISKIN_G_X9": "2",
		}},
		{func() { log.Info("long", "text", long) }, map[string]string{"SISKIN_TEXT": long, "PRIORITY": "6"}},
	} {
		c.write()
		got := j.next(5 * time.Second)
		for name, value := range c.want {
			if got[name] != value {
				t.Errorf("%s is %.100q, want %.100q", name, got[name], value)
			}
		}
	}
	if got := j.next(20 * time.Millisecond); got != nil {
		t.Errorf("one more: %v", got)
	}
}

// It keeps the rules of slog for handlers, as far as a flat list of fields can.
func TestHandler(t *testing.T) {
	j := newJournal(t)
	log := open(t, j, slog.LevelDebug)
	slogtest.Run(t, func(*testing.T) slog.Handler { return log.Handler() }, func(t *testing.T) map[string]any {
		got := j.next(time.Second)
		message, _, _ := strings.Cut(got["MESSAGE"], " ") // what follows is the attributes
		out := map[string]any{slog.MessageKey: message, slog.LevelKey: got["PRIORITY"]}
		if !strings.Contains(t.Name(), "zero-time") {
			out[slog.TimeKey] = "the journal's own"
		}
		for name, value := range got {
			key, ok := strings.CutPrefix(name, "SISKIN_")
			if !ok {
				continue
			}
			path := strings.Split(key, "_")
			at := out
			for _, group := range path[:len(path)-1] {
				inner, ok := at[group].(map[string]any)
				if !ok {
					inner = map[string]any{}
					at[group] = inner
				}
				at = inner
			}
			at[path[len(path)-1]] = value
		}
		// Keys are in upper case there: slogtest asks for small ones.
		return lower(out)
	})
}

func lower(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			v = lower(inner)
			out[k] = v
		}
		out[strings.ToLower(k)] = v
	}
	return out
}

func TestStream(t *testing.T) {
	for variable, want := range map[string]bool{"8:12": true, "8:13": false, "9:12": false, "": false, "8": false, "08:12": false} {
		if Stream(variable, 8, 12) != want {
			t.Errorf("%q: %v", variable, !want)
		}
	}
	if _, err := Open("/nowhere/socket", "x", slog.LevelInfo); err == nil {
		t.Error("no error")
	}
}
