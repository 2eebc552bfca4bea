package recurrent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"siskin/model/kernel"
)

// ErrCopy is wrapped by Restore when the data contradicts itself or the State.
var ErrCopy = errors.New("copy of a recurrent state")

// Save writes the state of a sequence: its position and the number of logged tokens (little endian, 64 bits each), the
// state, and what is logged, layer by layer. It says nothing of the shape, which the reader must know.
func (s *State) Save(w io.Writer, seq int) error {
	q := &s.sequences[seq]
	head := binary.LittleEndian.AppendUint64(nil, uint64(q.base))
	head = binary.LittleEndian.AppendUint64(head, uint64(q.logged))
	if _, err := w.Write(head); err != nil {
		return err
	}
	if q.base > 0 {
		if _, err := w.Write(kernel.FloatBytes(q.state)); err != nil {
			return err
		}
	}
	return s.eachLog(q, func(log []byte) error {
		_, err := w.Write(log)
		return err
	})
}

// Restore reads what Save has written, for a sequence of length tokens. On error the sequence is empty.
func (s *State) Restore(r io.Reader, seq, length int) (err error) {
	if _, err := s.Truncate(seq, 0); err != nil {
		return err
	}
	q := &s.sequences[seq]
	defer func() {
		if err != nil {
			q.base, q.logged = 0, 0
		}
	}()
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("recurrent state: %w", err)
	}
	base, logged := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	if logged > uint64(s.limits.Window) || base > uint64(length) || base+logged != uint64(length) {
		return fmt.Errorf("%w: %d positions and %d logged, want %d together and at most %d logged", ErrCopy, base, logged, length, s.limits.Window)
	}
	s.ready(q)
	q.base, q.logged = int(base), int(logged)
	if q.base > 0 {
		if _, err := io.ReadFull(r, kernel.FloatBytes(q.state)); err != nil {
			return fmt.Errorf("recurrent state: %w", err)
		}
	}
	return s.eachLog(q, func(log []byte) error {
		if _, err := io.ReadFull(r, log); err != nil {
			return fmt.Errorf("recurrent state: log: %w", err)
		}
		return nil
	})
}

// eachLog calls do for what is logged of each layer.
func (s *State) eachLog(q *sequence, do func(log []byte) error) error {
	n := s.shape.logLen()
	for layer := range s.shape.Layers {
		if q.logged == 0 {
			break
		}
		if err := do(kernel.FloatBytes(q.log[layer*s.limits.Window*n:][:q.logged*n])); err != nil {
			return err
		}
	}
	return nil
}
