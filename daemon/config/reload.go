package config

import "reflect"

// Changes compares two configurations and returns the keys, such as "log.level", whose values differ: those that a running
// daemon can adopt, and those that need a restart. Both are in the order of the struct.
func Changes(from, to Config) (live, restart []string) {
	diff("", reflect.ValueOf(from), reflect.ValueOf(to), func(key string, canReload bool, _, _ reflect.Value) {
		if canReload {
			live = append(live, key)
		} else {
			restart = append(restart, key)
		}
	})
	return live, restart
}

// Adopt returns c with every value of next that a running daemon can adopt, and c's own for the rest.
func (c Config) Adopt(next Config) Config {
	out := c
	diff("", reflect.ValueOf(&out).Elem(), reflect.ValueOf(next), func(_ string, canReload bool, to, from reflect.Value) {
		if canReload {
			to.Set(from)
		}
	})
	return out
}

// diff calls found for every value below section a that differs from b's.
func diff(prefix string, a, b reflect.Value, found func(key string, canReload bool, a, b reflect.Value)) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		key := prefix + f.Tag.Get("toml")
		if isSection(f.Type) {
			diff(key+".", a.Field(i), b.Field(i), found)
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			found(key, f.Tag.Get("reload") == "live", a.Field(i), b.Field(i))
		}
	}
}
