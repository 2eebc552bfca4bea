package model_test

import (
	"reflect"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

// What a state takes is known before it is made, to the byte.
func TestStateMemory(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama.gguf"))
	set := kernel.Generic()
	pool := kernel.NewPool(3)
	defer pool.Close()
	for _, l := range []model.Limits{
		{Rows: 1, Logits: 1, Sequences: 1, Context: 1},
		{Rows: 64, Logits: 8, Sequences: 4, Context: 100},
		{Rows: 7, Logits: 7, Sequences: 1, Context: 65, Positions: 300},
		{Rows: 7, Logits: 7, Sequences: 1, Context: 65, KV: kvcache.Formats(m.Config.HeadDim)[0]},
	} {
		want, err := m.StateMemory(set, pool.Workers(), l)
		if err != nil {
			t.Fatal(err)
		}
		s, err := model.NewState(m, set, pool, l)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Memory(); got != want || got.Cache <= 0 || got.Logits <= 0 || got.Scratch <= 0 {
			t.Errorf("%+v: has %+v, promised %+v", l, got, want)
		}
		if got := int64(s.Cache.Capacity()) * int64(s.Cache.Shape().PositionBytes()); got != want.Cache {
			t.Errorf("%+v: the cache has %d bytes, promised %d", l, got, want.Cache)
		}
		closeState(t, s)
	}
	if _, err := m.StateMemory(set, 1, model.Limits{}); err == nil {
		t.Error("limits of nothing have a size")
	}
}

// Every large buffer of a state lies in its arena, where it is counted and given back: a new one must be taken in place.
func TestBuffersAreInArena(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama.gguf"))
	s := newState(t, m, kernel.Generic(), model.Limits{Rows: 64, Logits: 64, Sequences: 1, Context: 100})
	state := reflect.ValueOf(s).Elem()
	mapping := state.FieldByName("arena").Elem().FieldByName("data")
	from, to := mapping.Pointer(), mapping.Pointer()+uintptr(mapping.Len())
	found := 0
	var check func(path string, v reflect.Value)
	check = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				check(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice:
			size := v.Cap() * int(v.Type().Elem().Size())
			if k := v.Type().Elem().Kind(); k != reflect.Float32 && k != reflect.Uint8 || size == 0 {
				return // bookkeeping of some hundred bytes
			}
			found++
			if p := v.Pointer(); p < from || p >= to {
				t.Errorf("State%s: %d bytes outside the arena", path, size)
			}
		}
	}
	check("", state)
	if found < 10 {
		t.Errorf("only %d buffers were looked at", found)
	}
}
