package mqtt

import "time"

// backoff gives the pause before an attempt after so many failures in a row, at
// least 1: exponential with full jitter, so that a fleet does not come back in
// step. random is in [0, 1).
func backoff(failures int, lo, hi time.Duration, random float64) time.Duration {
	most := hi
	// Shifting further could overflow; lo is at least a millisecond.
	if failures < 30 && lo<<failures < hi {
		most = lo << failures
	}
	return time.Duration(random * float64(most))
}
