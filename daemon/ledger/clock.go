package ledger

import "time"

// Stamp is a moment as far as this machine knows it. Boards without a battery start with any time and learn the right one later, or
// never; time since the start is right, but means nothing after the next start.
type Stamp struct {
	Boot   string        // names the start of the system; "" is not known
	Up     time.Duration // since then, sleep included
	Wall   time.Time
	Synced bool // the wall clock is right: something keeps it so
}

// Since returns how long before s another moment was; known is false if nothing says.
func (s Stamp) Since(then Stamp) (elapsed time.Duration, known bool) {
	up, wall := s.Up-then.Up, s.Wall.Sub(then.Wall)
	switch {
	case s.Boot != "" && then.Boot != "":
		if s.Boot == then.Boot {
			return max(0, up), true
		}
	case up >= 0 && (up-wall).Abs() < clockSlack:
		// Without names: both clocks agree, so this is the same start, or the wall clock is right.
		return up, true
	}
	return max(0, wall), s.Synced && then.Synced && wall >= 0
}

// clockSlack is by how much two clocks that run on may differ: adjusting a clock slowly changes its rate by 500 millionths at most
// (adjtimex(2)), which is two seconds in the longest deadline of an hour.
const clockSlack = 2 * time.Second
