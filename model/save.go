package model

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"siskin/model/kvcache"
	"siskin/model/recurrent"
)

// A saved sequence is, little endian:
//
//	magic    [16]byte
//	version  uint32
//	format   uint32    of keys and values
//	page     uint32    bytes of a page of the cache
//	length   uint32    tokens
//	model    [32]byte  pack.Stamp of the model file
//	pages    the pages of the cache that hold the tokens, whole
//	states   of recurrent layers, as recurrent.State.Save writes them; models without such layers have none
//	sum      uint32    CRC-32C of all before
const (
	savedMagic   = "siskin sequence\n"
	savedVersion = 1
	savedHead    = len(savedMagic) + 4*4 + 32
)

// ErrSaved is wrapped by Restore when the data is not a sequence of this model and these limits, or is damaged.
var ErrSaved = errors.New("saved sequence")

// savedHeader is the beginning of a saved sequence of length tokens.
func (s *State) savedHeader(length int) ([]byte, error) {
	stamp, err := s.model.stamp()
	if err != nil {
		return nil, err
	}
	head := append(make([]byte, 0, savedHead), savedMagic...)
	for _, n := range []int{savedVersion, int(s.limits.KV), s.Cache.Shape().PageBytes(), length} {
		head = binary.LittleEndian.AppendUint32(head, uint32(n))
	}
	return append(head, stamp[:]...), nil
}

// Save writes a sequence: what Restore needs to go on with it in this or another State of the model, in this or a later
// process. The tokens are not in it. Errors are those of w.
func (s *State) Save(w io.Writer, seq int) error {
	if seq < 0 || seq >= s.limits.Sequences {
		return fmt.Errorf("save sequence %d: %w", seq, ErrRow)
	}
	length := s.Cache.Len(seq)
	head, err := s.savedHeader(length)
	if err != nil {
		return fmt.Errorf("save sequence: %w", err)
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	out := io.MultiWriter(w, sum)
	if _, err := out.Write(head); err != nil {
		return fmt.Errorf("save sequence: %w", err)
	}
	for page := range pagesOf(length) {
		if _, err := out.Write(s.Cache.Page(seq, page)); err != nil {
			return fmt.Errorf("save sequence: %w", err)
		}
	}
	if s.mixer.states != nil {
		if err := s.mixer.states.Save(out, seq); err != nil {
			return fmt.Errorf("save sequence: %w", err)
		}
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return fmt.Errorf("save sequence: %w", err)
	}
	return nil
}

func pagesOf(length int) int { return (length + kvcache.PageLen - 1) / kvcache.PageLen }

// Restore reads what Save has written into a sequence, in the place of what it held, and returns its length. On error the
// sequence is empty. Errors: ErrSaved, kvcache.ErrFull, those of r.
func (s *State) Restore(r io.Reader, seq int) (length int, err error) {
	if seq < 0 || seq >= s.limits.Sequences {
		return 0, fmt.Errorf("restore sequence %d: %w", seq, ErrRow)
	}
	if _, err := s.Truncate(seq, 0); err != nil {
		return 0, err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if length, err = s.restore(io.TeeReader(r, sum), seq); err == nil {
		err = checkSum(r, sum)
	}
	if err != nil {
		_, emptied := s.Truncate(seq, 0)
		return 0, errors.Join(fmt.Errorf("restore sequence: %w", err), emptied)
	}
	return length, nil
}

// restore reads all but the sum.
func (s *State) restore(r io.Reader, seq int) (int, error) {
	var head [savedHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, cut(err)
	}
	lengthAt := len(savedMagic) + 3*4
	length := int(binary.LittleEndian.Uint32(head[lengthAt:]))
	want, err := s.savedHeader(length)
	switch {
	case err != nil:
		return 0, err
	case string(head[:len(savedMagic)]) != savedMagic:
		return 0, fmt.Errorf("%w: this is none", ErrSaved)
	case !bytes.Equal(head[:], want):
		return 0, fmt.Errorf("%w: of another version, model or format of keys and values", ErrSaved)
	case length > s.limits.Context:
		return 0, fmt.Errorf("%w: %d tokens, the context holds %d", ErrSaved, length, s.limits.Context)
	}
	if err := s.Cache.Extend(seq, length); err != nil {
		return 0, err
	}
	for page := range pagesOf(length) {
		if _, err := io.ReadFull(r, s.Cache.Page(seq, page)); err != nil {
			return 0, cut(err)
		}
	}
	if s.mixer.states != nil {
		if err := s.mixer.states.Restore(r, seq, length); err != nil {
			return 0, cut(err)
		}
	}
	return length, nil
}

func checkSum(r io.Reader, sum hash.Hash32) error {
	var stored [4]byte
	if _, err := io.ReadFull(r, stored[:]); err != nil {
		return cut(err)
	}
	if binary.LittleEndian.Uint32(stored[:]) != sum.Sum32() {
		return fmt.Errorf("%w: it is damaged, its sum does not fit", ErrSaved)
	}
	return nil
}

// cut makes the end of the data, and a state that cannot be, an error of the data.
func cut(err error) error {
	if errors.Is(err, recurrent.ErrCopy) {
		return fmt.Errorf("%w: %w", ErrSaved, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends early", ErrSaved)
	}
	return err
}
