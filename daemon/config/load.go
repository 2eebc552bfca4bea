package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFileBytes is the largest file that Load reads.
const maxFileBytes = 1 << 20

// maxProblems is how many problems one error lists.
const maxProblems = 50

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string // "" without a file
	Line int    // 0 if the file does not mention the key, or without a file
	Key  string // dotted, such as "queue.max_bytes"; "" if the file is not TOML
	What string
}

// Error gives "file:line: key: what"; what is not known is left out.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.What)
	return b.String()
}

// Load reads the file at path over the defaults and validates the result. The error is a join of one *Problem for each
// thing that is wrong, or says why the file cannot be read.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxFileBytes {
		return Config{}, fmt.Errorf("config: %s: larger than %s, so this is not a configuration", path, Size(maxFileBytes))
	}
	return Parse(path, data)
}

// Parse is Load with the text of a file; name appears in errors.
func Parse(name string, data []byte) (Config, error) {
	settings, bad := split(data)
	if bad != nil {
		bad.File = name
		return Config{}, bad
	}
	// Each setting is decoded on its own first: the library stops at the first wrong value, people want to see them all.
	var problems []*Problem
	var good bytes.Buffer
	lines := make(map[string]int, len(settings))
	for _, s := range settings {
		key := strings.Join(s.path, ".")
		if first, again := lines[key]; again && s.text != nil {
			problems = append(problems, &Problem{name, s.line, key, fmt.Sprintf("is set twice, first in line %d", first)})
			continue
		}
		lines[key] = s.line
		if what := s.check(); what != "" {
			problems = append(problems, &Problem{name, s.line, key, what})
			continue
		}
		good.Write(s.text)
	}
	doc := good.Bytes()
	if len(problems) == 0 {
		doc = data
	}
	c := Default()
	if err := decode(doc, &c); err != nil && len(problems) == 0 {
		// Settings that are right alone can be wrong together, such as a table that is opened twice.
		line, what := explain(err)
		problems = append(problems, &Problem{File: name, Line: line, What: what})
	}
	for _, p := range c.problems() {
		p.File, p.Line = name, lines[p.Key]
		problems = append(problems, p)
	}
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Compare(uint(a.Line-1), uint(b.Line-1)) // what is missing in the file comes last
	})
	return c, join(problems)
}

// join makes one error of the problems, nil of none.
func join(problems []*Problem) error {
	var errs []error
	for i, p := range problems {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("and %d more problems", len(problems)-i))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// decode reads a TOML document strictly.
func decode(doc []byte, c *Config) error {
	return toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields().Decode(c)
}
