package notify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxNameBytes is the longest name of a stored descriptor (sd_notify(3), FDNAME).
const maxNameBytes = 255

// firstFD is the first descriptor that a manager hands over (sd_listen_fds(3), SD_LISTEN_FDS_START).
const firstFD = 3

// maxFDs bounds what Inherited believes; a unit's own default for FileDescriptorStoreMax is far below.
const maxFDs = 1024

// Store gives a copy of f to the manager, which hands it to the next process of the service under that name: a listening
// socket then keeps its queue of connections over a restart. The unit must allow it (FileDescriptorStoreMax). What the name
// had before is replaced.
func (n *Notifier) Store(name string, f *os.File) error {
	if n.conn == nil {
		return nil
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := n.send("FDSTOREREMOVE=1", "FDNAME="+name); err != nil {
		return err
	}
	raw, err := n.conn.SyscallConn() // net's own WriteMsgUnix refuses connected sockets
	if err != nil {
		return fmt.Errorf("notify: store %s: %w", name, err)
	}
	// Not f.Fd, which makes what f shares with the listener wait inside the kernel: Accept would then hold up Close for ever.
	file, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("notify: store %s: %w", name, err)
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	var sent error
	var controlled error
	err = raw.Write(func(fd uintptr) bool {
		controlled = file.Control(func(stored uintptr) {
			sent = unix.Sendmsg(int(fd), []byte("FDSTORE=1\nFDNAME="+name), unix.UnixRights(int(stored)), nil, unix.MSG_NOSIGNAL)
		})
		return !errors.Is(sent, unix.EAGAIN) // else wait until there is room
	})
	if err := errors.Join(err, controlled, sent); err != nil {
		return fmt.Errorf("notify: store %s: %w", name, err)
	}
	return nil
}

// checkName wants what the manager takes: ASCII without control characters and colons (sd_notify(3), FDNAME).
func checkName(name string) error {
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("notify: name of a descriptor: %d bytes, want 1 to %d", len(name), maxNameBytes)
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == ':' {
			return fmt.Errorf("notify: name of a descriptor %q: want ASCII without control characters and colons", name)
		}
	}
	return nil
}

// Inherited returns the descriptors that the manager hands over, by name: stored ones and those of socket units. It takes what
// LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say (sd_listen_fds(3)); self is the own process. Two of one name: the later counts,
// the other is closed. It must be called once only: each file owns its descriptor.
func Inherited(fds, pid, names string, self int) (map[string]*os.File, error) {
	if fds == "" || pid != strconv.Itoa(self) {
		return nil, nil
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("notify: LISTEN_FDS %q is not a number of descriptors", fds)
	}
	list := strings.Split(names, ":")
	out := make(map[string]*os.File, n)
	for i := range n {
		name := "unknown" // what sd_listen_fds_with_names gives
		if i < len(list) && list[i] != "" {
			name = list[i]
		}
		unix.CloseOnExec(firstFD + i)
		f := os.NewFile(uintptr(firstFD+i), name)
		if old := out[name]; old != nil {
			_ = old.Close() // it was never used
		}
		out[name] = f
	}
	return out, nil
}
