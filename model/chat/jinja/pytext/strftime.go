package pytext

import (
	"fmt"
	"strings"
	"time"
)

// Strftime is datetime.strftime of the C locale on Linux: the directives of the Python reference, those that glibc adds,
// and its flags - _ 0 ^ #. An unknown directive stays as it is. t is printed as it is, without conversion to another zone;
// like a datetime without zone it has an empty %z and %Z.
func Strftime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		j := i + 1
		var flag byte
		for j < len(format) && strings.IndexByte("-_0^#", format[j]) >= 0 {
			flag = format[j]
			j++
		}
		if j == len(format) {
			b.WriteString(format[i:])
			break
		}
		text, ok := directive(t, format[j])
		if !ok {
			b.WriteString(format[i : j+1])
		} else {
			b.WriteString(applyFlag(text, flag, format[j]))
		}
		i = j
	}
	return b.String()
}

// applyFlag changes the padding (- none, _ spaces, 0 zeros) or the case (^ upper, # the opposite) of a directive.
func applyFlag(s string, flag, directive byte) string {
	if directive == 'P' {
		return s
	}
	switch flag {
	case '^':
		return strings.ToUpper(s)
	case '#':
		if directive == 'p' || directive == 'Z' {
			return strings.ToLower(s)
		}
		return strings.ToUpper(s)
	case '-', '_', '0':
		digits := strings.TrimLeft(s, " 0")
		if digits == "" && s != "" && strings.Trim(s, " 0") == "" {
			digits = "0"
		}
		if digits == "" || digits[0] < '0' || digits[0] > '9' {
			return s
		}
		pad := map[byte]string{'-': "", '_': " ", '0': "0"}[flag]
		return strings.Repeat(pad, len(s)-len(digits)) + digits
	}
	return s
}

// directive gives the text of one directive.
func directive(t time.Time, c byte) (string, bool) {
	if layout := goLayout(c); layout != "" {
		return t.Format(layout), true
	}
	two := func(n int) (string, bool) { return fmt.Sprintf("%02d", n), true }
	isoYear, isoWeek := t.ISOWeek()
	weekday := int(t.Weekday())
	switch c {
	case '%':
		return "%", true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	case 'z', 'Z':
		return "", true
	case 'w':
		return fmt.Sprint(weekday), true
	case 'u':
		return fmt.Sprint((weekday+6)%7 + 1), true
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000), true
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay()), true
	case 'k':
		return fmt.Sprintf("%2d", t.Hour()), true
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1), true
	case 'C':
		return two(t.Year() / 100)
	case 'G':
		return fmt.Sprint(isoYear), true
	case 'g':
		return two(isoYear % 100)
	case 'V':
		return two(isoWeek)
	case 'U':
		return two((t.YearDay() + 6 - weekday) / 7)
	case 'W':
		return two((t.YearDay() + 6 - (weekday+6)%7) / 7)
	case 's':
		return fmt.Sprint(t.Unix()), true
	case 'P':
		return strings.ToLower(t.Format("PM")), true
	}
	return "", false
}

// goLayout gives the layout of package time that prints a directive, or "".
func goLayout(c byte) string {
	switch c {
	case 'a':
		return "Mon"
	case 'A':
		return "Monday"
	case 'b', 'h':
		return "Jan"
	case 'B':
		return "January"
	case 'd':
		return "02"
	case 'e':
		return "_2"
	case 'm':
		return "01"
	case 'y':
		return "06"
	case 'Y':
		return "2006"
	case 'H':
		return "15"
	case 'I':
		return "03"
	case 'p':
		return "PM"
	case 'M':
		return "04"
	case 'S':
		return "05"
	case 'c':
		return "Mon Jan _2 15:04:05 2006"
	case 'x', 'D':
		return "01/02/06"
	case 'X', 'T':
		return "15:04:05"
	case 'F':
		return "2006-01-02"
	case 'R':
		return "15:04"
	case 'r':
		return "03:04:05 PM"
	}
	return ""
}
