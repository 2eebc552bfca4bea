package jinja

import (
	"time"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// Strftime is datetime.strftime for the function strftime_now of chat templates.
func Strftime(m *value.Meter, now time.Time, format value.Str) (value.Str, error) {
	if err := m.Alloc(32 * len(format.String())); err != nil { // the longest directive prints 24 bytes for 2
		return value.Str{}, err
	}
	return value.MapWhole(m, format, func(f string) string { return pytext.Strftime(now, f) })
}
