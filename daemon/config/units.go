package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span that is written with its unit, such as "30s" or "1h30m"; the form is that of
// time.ParseDuration.
type Duration struct{ time.Duration }

// UnmarshalText reads the form that is described at Duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%s is not a duration: %w", shorten(text), errDuration)
	}
	d.Duration = v
	return nil
}

// MarshalText writes the shortest form that UnmarshalText reads: "30s", not "0h0m30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is as MarshalText.
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes. It is written in quotes with its unit, B, KiB, MiB or GiB, such as "64KiB", or as a plain
// number of bytes.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// Budget is a Size, or "auto", which is 0.
type Budget Size

// UnmarshalText reads the form that is described at Budget.
func (b *Budget) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*b = 0
		return nil
	}
	return (*Size)(b).UnmarshalText(text)
}

// MarshalText writes "auto", or what Size does.
func (b Budget) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String is as MarshalText.
func (b Budget) String() string {
	if b == 0 {
		return "auto"
	}
	return Size(b).String()
}

// UnmarshalText reads the form that is described at Size: a whole, non-negative number and the unit, spaces allowed
// between them.
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BKMGi")
	unit := Size(0)
	switch string(text[len(number):]) {
	case "", "B":
		unit = 1
	case "KiB":
		unit = KiB
	case "MiB":
		unit = MiB
	case "GiB":
		unit = GiB
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	if err != nil || unit == 0 {
		return fmt.Errorf("%s is not a size: %w", shorten(text), errSize)
	}
	if n > uint64(math.MaxInt64/unit) {
		return fmt.Errorf("%s: %w", shorten(text), errTooLarge)
	}
	*s = Size(n) * unit
	return nil
}

// MarshalText writes the number with the largest unit that needs no fraction.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is as MarshalText.
func (s Size) String() string {
	switch {
	case s != 0 && s%GiB == 0:
		return fmt.Sprintf("%dGiB", int64(s/GiB))
	case s != 0 && s%MiB == 0:
		return fmt.Sprintf("%dMiB", int64(s/MiB))
	case s != 0 && s%KiB == 0:
		return fmt.Sprintf("%dKiB", int64(s/KiB))
	}
	return fmt.Sprintf("%dB", int64(s))
}

var (
	errDuration = errors.New(`write a number and a unit, such as "30s", "5m" or "1h30m"`)
	errSize     = errors.New(`write a whole number and a unit, such as "512B", "64KiB" or "4MiB"`)
	errTooLarge = errors.New("is too large a size")
)

// shorten quotes text for a message, cut if it is long.
func shorten(text []byte) string {
	if len(text) > 40 {
		return strconv.Quote(string(text[:40])) + "..."
	}
	return strconv.Quote(string(text))
}
