package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Kinds of records. They are numbers of the form on disk.
const (
	kindRequest = 1 // accepted
	kindTry     = 2 // begun
	kindAnswer  = 3 // finished
	kindSent    = 4 // taken by the broker
	kindEffect  = 5 // something outside is about to be done, or was
)

// KindName is a kind as people call it.
func KindName(kind byte) string {
	names := [...]string{kindRequest: "request", kindTry: "try", kindAnswer: "answer", kindSent: "sent", kindEffect: "effect"}
	if int(kind) < len(names) && names[kind] != "" {
		return names[kind]
	}
	return fmt.Sprintf("kind %d", kind)
}

// head is the JSON in the first line of a record; what follows is a request or an answer as it is.
type head struct {
	ID    string `json:"id"`
	Order uint64 `json:"n,omitempty"`    // of acceptance
	Hash  string `json:"hash,omitempty"` // of a message that has no id of its own

	Boot     string `json:"boot,omitempty"`
	UpMs     int64  `json:"up,omitempty"`
	WallMs   int64  `json:"at,omitempty"`
	Synced   bool   `json:"ntp,omitempty"`
	Deadline int64  `json:"ms,omitempty"`
	Tries    int    `json:"tries,omitempty"`

	Topic  string `json:"to,omitempty"`   // of an answer
	Cor    []byte `json:"cor,omitempty"`  // correlation data, of an answer
	Sent   bool   `json:"sent,omitempty"` // in a copy
	Effect string `json:"effect,omitempty"`
	Done   bool   `json:"done,omitempty"`
}

// encode makes the data of a record.
func (h *head) encode(payload []byte) ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return append(append(line, '\n'), payload...), nil
}

// decode is the opposite. The payload is a part of data.
func decode(data []byte) (h head, payload []byte, err error) {
	line, payload, ok := bytes.Cut(data, []byte{'\n'})
	if !ok {
		return h, nil, fmt.Errorf("ledger: a record without a first line")
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, nil, fmt.Errorf("ledger: first line of a record: %w", err)
	}
	if h.ID == "" {
		return h, nil, fmt.Errorf("ledger: a record without an id")
	}
	return h, payload, nil
}

func (h *head) stamp() Stamp {
	return Stamp{Boot: h.Boot, Up: time.Duration(h.UpMs) * time.Millisecond, Wall: time.UnixMilli(h.WallMs), Synced: h.Synced}
}

func (h *head) setStamp(s Stamp) {
	h.Boot, h.UpMs, h.WallMs, h.Synced = s.Boot, s.Up.Milliseconds(), s.Wall.UnixMilli(), s.Synced
}
