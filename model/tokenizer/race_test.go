//go:build race

package tokenizer

// raceEnabled tells tests that the race detector makes everything slow.
const raceEnabled = true
