package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// setting is one "key = value" of a file, or a table's header.
type setting struct {
	path []string // full key, the table's included
	line int
	text []byte // a document with only this setting; nil for a header
	list bool   // a header in double brackets
}

// split finds the settings of a file. Those in a table that is not known are left out: its header is enough to report.
func split(data []byte) ([]setting, *Problem) {
	var p unstable.Parser
	p.Reset(data)
	var out []setting
	var table []string
	skip := false
	line, counted := 1, 0 // line is that of data[counted]
	for p.NextExpression() {
		n := p.Expression()
		if n.Kind != unstable.KeyValue && n.Kind != unstable.Table && n.Kind != unstable.ArrayTable {
			continue
		}
		var own []string
		offset := -1
		for it := n.Key(); it.Next(); {
			own = append(own, string(it.Node().Data))
			if offset < 0 {
				offset = int(it.Node().Raw.Offset)
			}
		}
		line += bytes.Count(data[counted:offset], []byte("\n"))
		counted = offset
		if n.Kind != unstable.KeyValue {
			s := setting{path: own, line: line, list: n.Kind == unstable.ArrayTable}
			table, skip = own, s.check() != ""
			out = append(out, s)
			continue
		}
		if skip {
			continue
		}
		text := string(p.Raw(n.Raw)) + "\n"
		if len(table) > 0 { // a known one, so none of its parts needs quotes
			text = strings.Join(table, ".") + "." + text
		}
		out = append(out, setting{path: append(append([]string(nil), table...), own...), line: line, text: []byte(text)})
	}
	if p.Error() != nil {
		var v map[string]any
		line, what := explain(toml.Unmarshal(data, &v)) // the same error, with its place
		return nil, &Problem{Line: line, What: "this is not TOML: " + what}
	}
	return out, nil
}

// explain takes line and text out of an error of the library. The line is 0 if it has none.
func explain(err error) (line int, what string) {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		err = &strict.Errors[0]
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, _ = de.Position()
		what = strings.TrimPrefix(de.Error(), "toml: ")
		if key := strings.Join(de.Key(), "."); key != "" {
			what = key + ": " + what
		}
		return line, what
	}
	return 0, fmt.Sprint(err)
}

// check tells what is wrong with a setting on its own; "" is nothing.
func (s setting) check() string {
	t := reflect.TypeFor[Config]()
	for i, name := range s.path {
		if t.Kind() == reflect.Map {
			if !taskName(name) { // of tasks, the only one
				return badTaskName
			}
			t = t.Elem()
			continue
		}
		if !isSection(t) {
			return strings.Join(s.path[:i], ".") + " is a single value and has nothing below it"
		}
		f, ok := fieldOf(t, name)
		if !ok {
			return "unknown key; known here: " + strings.Join(keysOf(t), ", ")
		}
		t = f.Type
	}
	if s.text == nil {
		if s.list || !isSection(t) && t.Kind() != reflect.Map {
			return "is not a table; write " + example(t)
		}
		return ""
	}
	var c Config
	err := decode(s.text, &c)
	if err == nil {
		return ""
	}
	if isSection(t) || t.Kind() == reflect.Map { // an inline table: say which of its keys
		if _, what := explain(err); what != "" {
			return what
		}
	}
	if unit := unitError(err); unit != "" {
		return unit
	}
	return "wrong kind of value; write " + example(t)
}

// unitError returns the message of Duration and Size, "" for other errors.
func unitError(err error) string {
	for _, u := range []string{errDuration.Error(), errSize.Error(), errTooLarge.Error()} {
		if strings.Contains(err.Error(), u) {
			return strings.TrimPrefix(err.Error(), "toml: ")
		}
	}
	return ""
}

// example says how a value of type t is written.
func example(t reflect.Type) string {
	if t.Kind() == reflect.Pointer { // it may be absent
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Duration]():
		return `a duration in quotes, such as "30s"`
	case reflect.TypeFor[Budget]():
		return `"auto", or a size in quotes, such as "128MiB"`
	case reflect.TypeFor[Size]():
		return `a size in quotes, such as "64KiB"`
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number, such as 4"
	case reflect.Float64:
		return "a number, such as 0.5"
	case reflect.Slice:
		return `a list of texts, such as ["a", "b"]`
	case reflect.Struct, reflect.Map:
		return "a table: its name in single brackets on a line of its own"
	}
	return "a text in quotes"
}

// isSection tells a table of settings from a value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fieldOf returns the field of section t that has the given key.
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("toml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// keysOf lists the keys of section t.
func keysOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("toml"))
	}
	return out
}
