package model

import (
	"errors"
	"fmt"
	"reflect"
)

// Unreadable reports whether a panic of Forward came from reading a mapped file of the model: it was cut, or its disk fails
// (SIGBUS). Such a fault, in Go and in the kernels, is a panic only on goroutines that have called debug.SetPanicOnFault, as
// the workers of a kernel.Pool have; elsewhere it ends the process. The pass is lost, its sequences must be emptied.
func (m *Model) Unreadable(fault any) bool {
	err, ok := fault.(error)
	if !ok {
		return false
	}
	var at interface{ Addr() uintptr } // runtime.Error has it where the address is known
	if !errors.As(err, &at) {
		return false
	}
	for _, mapping := range m.files() {
		if mapping.Contains(at.Addr()) {
			return true
		}
	}
	return false
}

// Replace lets m take the place of its files from fresh, the same model opened again, which is closed to its other users.
// No pass may be under way; states of m stay as they are. On error m is as it was, and fresh still the caller's.
func (m *Model) Replace(fresh *Model) error {
	if !reflect.DeepEqual(fresh.Config, m.Config) {
		return fmt.Errorf("another model: its shape is %+v, was %+v: %w", fresh.Config, m.Config, ErrBadModel)
	}
	var now []*Matrix
	fresh.Weights.matrices(func(w *Matrix) { now = append(now, w) })
	same, i := true, 0
	m.Weights.matrices(func(w *Matrix) {
		same = same && i < len(now) && w.Name == now[i].Name && w.Type == now[i].Type
		i++
	})
	if !same || i != len(now) {
		return fmt.Errorf("another model: its matrices have other formats: %w", ErrBadModel)
	}
	old := Model{mappings: m.mappings, packed: m.packed}
	m.Weights, m.file, m.data, m.mappings, m.packed = fresh.Weights, fresh.file, fresh.data, fresh.mappings, fresh.packed
	return old.Close()
}
