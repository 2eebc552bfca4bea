//go:build race

package daemon_test

// raceSlowdown is what the race detector costs.
const raceSlowdown = 10
