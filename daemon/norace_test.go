//go:build !race

package daemon_test

const raceSlowdown = 1
