package notify

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The manager gets a working copy of the listener: a connection to the address is accepted by it after the first is closed.
func TestStore(t *testing.T) {
	l := listen(t, t.TempDir()+"/notify")
	n, err := Open(l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Store("broker", f); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, l); got != "FDSTOREREMOVE=1\nFDNAME=broker" {
		t.Errorf("first message: %q", got)
	}
	text, rights := make([]byte, 256), make([]byte, 256)
	if err := l.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	size, rightsSize, _, _, err := l.ReadMsgUnix(text, rights)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text[:size]); got != "FDSTORE=1\nFDNAME=broker" {
		t.Errorf("second message: %q", got)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsSize])
	if err != nil || len(messages) != 1 {
		t.Fatalf("control messages: %v, %v", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("rights: %v, %v", fds, err)
	}
	addr := tcp.Addr().String()
	closeWhileAccepting(t, tcp)
	_ = f.Close()
	stored := os.NewFile(uintptr(fds[0]), "stored")
	again, err := net.FileListener(stored)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	_ = stored.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if c, err := again.Accept(); err != nil {
		t.Errorf("accept: %v", err)
	} else {
		_ = c.Close()
	}
}

// closeWhileAccepting closes a listener that somebody waits for a connection at: a service that is stopped does so, and would be
// killed by the manager a minute later if the listener did not let go.
func closeWhileAccepting(t *testing.T, l net.Listener) {
	t.Helper()
	accepted, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	time.Sleep(20 * time.Millisecond) // until Accept waits
	go func() { closed <- l.Close() }()
	for _, c := range []struct {
		what  string
		ended chan error
		want  error
	}{{"Close", closed, nil}, {"Accept", accepted, net.ErrClosed}} {
		select {
		case err := <-c.ended:
			if !errors.Is(err, c.want) {
				t.Fatalf("%s: %v, want %v", c.what, err, c.want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s does not return", c.what)
		}
	}
}

func TestStoreRefuses(t *testing.T) {
	l := listen(t, t.TempDir()+"/notify")
	n, err := Open(l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, name := range []string{"", "a:b", "a\nREADY=1", "ä", strings.Repeat("x", 256)} {
		if err := n.Store(name, os.Stdin); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
}

// inheritor is the environment variable that makes this test binary the process that inherits.
const inheritor = "SISKIN_TEST_INHERITOR"

// A child with two descriptors, as systemd starts one, finds them by name and reads from them.
func TestInherited(t *testing.T) {
	if names := os.Getenv(inheritor); names != "" {
		files, err := Inherited("3", strconv.Itoa(os.Getpid()), names, os.Getpid())
		if err != nil || len(files) != 3 {
			t.Fatalf("inherited %v, %v", files, err)
		}
		for name, f := range files {
			got, err := io.ReadAll(f)
			if err != nil || string(got) != "for "+name {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestInherited$", "-test.v")
	child.Env = append(os.Environ(), inheritor+"=broker:metrics")
	for _, name := range []string{"broker", "metrics", "unknown"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("for " + name); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		defer r.Close()
		child.ExtraFiles = append(child.ExtraFiles, r)
	}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestInheritedNothing(t *testing.T) {
	for _, c := range []struct{ fds, pid string }{{"", "1"}, {"2", ""}, {"2", "1"}} {
		if files, err := Inherited(c.fds, c.pid, "", 99); err != nil || len(files) != 0 {
			t.Errorf("%+v: %v, %v", c, files, err)
		}
	}
	for _, fds := range []string{"x", "-1", "1025"} {
		if _, err := Inherited(fds, "99", "", 99); err == nil {
			t.Errorf("LISTEN_FDS=%s is taken", fds)
		}
	}
}
