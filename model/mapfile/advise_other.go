//go:build !linux

package mapfile

import "os"

// advise does nothing: advice is about speed only.
func advise([]byte, Advice) error { return nil }

// populate, pieces and drop do nothing, either.
func populate([]byte) error                    { return nil }
func pieces([]byte) error                      { return nil }
func drop(_ *os.File, _ []byte, _ int64) error { return nil }
