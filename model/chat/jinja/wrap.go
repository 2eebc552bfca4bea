package jinja

import (
	"strings"
	"unicode/utf8"

	"siskin/model/chat/jinja/pytext"
)

// wrapper breaks a line as Python's textwrap.TextWrapper does.
type wrapper struct {
	width         int
	long, hyphens bool
}

// chunks cuts a line into words and the white space between them; words also after hyphens inside letters.
func (w wrapper) chunks(s string) []string {
	var out []string
	for s != "" {
		space := strings.IndexByte("\t\n\v\f\r ", s[0]) >= 0
		n := strings.IndexFunc(s, func(r rune) bool {
			return (r < 0x80 && strings.IndexByte("\t\n\v\f\r ", byte(r)) >= 0) != space
		})
		if n < 0 {
			n = len(s)
		}
		word := s[:n]
		s = s[n:]
		if space || !w.hyphens {
			out = append(out, word)
			continue
		}
		out = append(out, hyphenated(word)...)
	}
	return out
}

// hyphenated cuts a word after each hyphen that has two letters before it (or one at the start) and two after it.
func hyphenated(word string) []string {
	var out []string
	runes := []rune(word)
	letter := func(i int) bool {
		return i >= 0 && i < len(runes) && pytext.IsWord(runes[i]) && !pytext.IsDecimal(runes[i])
	}
	from := 0
	for i, r := range runes {
		if r != '-' || !letter(i-1) || !letter(i-2) || !letter(i+1) || !(letter(i+2) || i+2 < len(runes) && runes[i+2] == '-' && letter(i+3)) {
			continue
		}
		out = append(out, string(runes[from:i+1]))
		from = i + 1
	}
	return append(out, string(runes[from:]))
}

// wrap gives the lines of a line.
func (w wrapper) wrap(s string) []string {
	chunks := w.chunks(s)
	var lines []string
	blank := func(c string) bool { return strings.Trim(c, "\t\n\v\f\r ") == "" }
	for len(chunks) > 0 {
		if len(lines) > 0 && blank(chunks[0]) {
			chunks = chunks[1:]
			continue
		}
		var line []string
		used := 0
		for len(chunks) > 0 {
			n := utf8.RuneCountInString(chunks[0])
			if used+n > w.width {
				break
			}
			line, used, chunks = append(line, chunks[0]), used+n, chunks[1:]
		}
		if len(chunks) > 0 && utf8.RuneCountInString(chunks[0]) > w.width {
			line, chunks = w.breakLong(line, used, chunks)
		}
		if len(line) > 0 && blank(line[len(line)-1]) {
			line = line[:len(line)-1]
		}
		if len(line) > 0 {
			lines = append(lines, strings.Join(line, ""))
		}
	}
	return lines
}

// breakLong puts as much of a word that fits no line as fits this one; without long words are broken only on an empty line.
func (w wrapper) breakLong(line []string, used int, chunks []string) ([]string, []string) {
	if !w.long {
		if len(line) == 0 {
			return chunks[:1], chunks[1:]
		}
		return line, chunks
	}
	space := max(w.width-used, 0)
	if w.width < 1 {
		space = 1
	}
	runes := []rune(chunks[0])
	end := min(space, len(runes))
	if w.hyphens && len(runes) > space {
		for h := end - 1; h > 0; h-- {
			if runes[h] == '-' {
				if strings.Trim(string(runes[:h]), "-") != "" {
					end = h + 1
				}
				break
			}
		}
	}
	rest := append([]string{string(runes[end:])}, chunks[1:]...)
	return append(line, string(runes[:end])), rest
}
