package ledger

import (
	"fmt"
	"time"

	"siskin/daemon/journal"
)

// Line describes a record for people.
type Line struct {
	Number uint64
	Kind   string
	ID     string
	At     time.Time // zero where the record does not say
	Bytes  int       // of the payload
	Note   string
	Text   []byte // the payload: a request or an answer in JSON
}

// Inspect reads a book that nobody needs to have open.
func Inspect(folder journal.Folder, visit func(Line) error, damaged func(journal.Damage)) error {
	return journal.Scan(folder, func(r journal.Record) error {
		if r.Kind == 0 || r.Kind == 255 {
			return visit(Line{Number: r.Number, Kind: "internal"})
		}
		h, payload, err := decode(r.Data)
		if err != nil {
			return visit(Line{Number: r.Number, Kind: KindName(r.Kind), Note: err.Error()})
		}
		l := Line{Number: r.Number, Kind: KindName(r.Kind), ID: h.ID, Bytes: len(payload), Text: payload}
		if h.WallMs != 0 {
			l.At = time.UnixMilli(h.WallMs)
		}
		switch {
		case h.Topic != "" && h.Sent:
			l.Note = "delivered to " + h.Topic
		case h.Topic != "":
			l.Note = "for " + h.Topic
		case h.Effect != "":
			l.Note = fmt.Sprintf("%s, ended: %v", h.Effect, h.Done)
		case h.Tries > 0:
			l.Note = fmt.Sprintf("try %d", h.Tries)
		case h.Deadline > 0:
			l.Note = fmt.Sprintf("deadline %v", time.Duration(h.Deadline)*time.Millisecond)
		}
		return visit(l)
	}, damaged)
}
