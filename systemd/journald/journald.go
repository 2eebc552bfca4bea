// Package journald is a slog.Handler that writes to systemd's journal with fields, by its native protocol
// (systemd.io, "Native Journal Protocol", systemd 252): one datagram an entry, or a sealed file in memory for one that is too long.
package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where the journal takes entries.
const Socket = "/run/systemd/journal/socket"

// Stream reports whether a file, by its device and inode, is the one that the manager has connected with the journal: what
// JOURNAL_STREAM says (systemd.exec(5)).
func Stream(variable string, device, inode uint64) bool {
	d, i, ok := strings.Cut(variable, ":")
	return ok && d == strconv.FormatUint(device, 10) && i == strconv.FormatUint(inode, 10)
}

// Handler writes entries. It is safe for concurrent use.
type Handler struct {
	conn       *net.UnixConn
	identifier string
	level      slog.Leveler
	prefix     string // of keys: that of the groups
	fields     []byte // of WithAttrs
}

// Open connects to the journal's socket. identifier is SYSLOG_IDENTIFIER, and in upper case the beginning of all fields of
// attributes: SISKIN_ID for "id".
func Open(socket, identifier string, level slog.Leveler) (*Handler, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("journald: %w", err)
	}
	return &Handler{conn: conn, identifier: identifier, level: level, prefix: fieldName(identifier) + "_"}, nil
}

// Close ends the connection; entries behind it are lost.
func (h *Handler) Close() error { return h.conn.Close() }

// Enabled is that of slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs is that of slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.fields = bytes.Clone(h.fields)
	for _, a := range attrs {
		n.fields = appendAttr(n.fields, h.prefix, a)
	}
	return &n
}

// WithGroup is that of slog.Handler: keys get the group's name before them.
func (h *Handler) WithGroup(name string) slog.Handler {
	n := *h
	n.prefix += fieldName(name) + "_"
	return &n
}

// Handle writes an entry. The message has the attributes behind it as well, as people read them.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	text := []byte(r.Message)
	fields := bytes.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = appendAttr(fields, h.prefix, a)
		text = fmt.Appendf(text, " %s=%v", a.Key, a.Value.Resolve())
		return true
	})
	entry := appendField(nil, "MESSAGE", string(text))
	entry = appendField(entry, "PRIORITY", strconv.Itoa(priority(r.Level)))
	entry = appendField(entry, "SYSLOG_IDENTIFIER", h.identifier)
	return h.send(append(entry, fields...))
}

// priority is the level as syslog(3) counts it.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	default:
		return 7
	}
}

// sendPatience bounds how long a journal that does not read holds up whoever logs.
const sendPatience = time.Second

// send hands an entry over.
func (h *Handler) send(entry []byte) error {
	if err := h.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	_, err := h.conn.Write(entry)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = h.sendFile(entry)
	}
	if err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	return nil
}

// sendFile hands over an entry that is too long for a datagram: a file in memory that nobody can change any more.
func (h *Handler) sendFile(entry []byte) (err error) {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	for len(entry) > 0 {
		n, err := unix.Write(fd, entry)
		if err != nil {
			return err
		}
		entry = entry[n:]
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	raw, err := h.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(socket uintptr) bool {
		sent = unix.Sendmsg(int(socket), nil, unix.UnixRights(fd), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// appendAttr appends the fields of an attribute; those of a group have its name before theirs.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += fieldName(a.Key) + "_"
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, prefix, inner)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	return appendField(b, prefix+fieldName(a.Key), fmt.Sprint(v))
}

// maxName is the longest name of a field that the journal takes.
const maxName = 64

// appendField appends a field: NAME=value, or, with a line end in the value, the name, its length and the value.
func appendField(b []byte, name, value string) []byte {
	name = name[:min(len(name), maxName)]
	if !strings.Contains(value, "\n") {
		return append(b, name+"="+value+"\n"...)
	}
	b = append(b, name+"\n"...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}

// fieldName turns a key into what names of fields may have: A to Z, 0 to 9 and _, not beginning with _ or a digit.
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
	if name == "" || name[0] == '_' || name[0] >= '0' && name[0] <= '9' {
		name = "X" + name
	}
	return name
}
