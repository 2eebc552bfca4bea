package config

import (
	"maps"
	"slices"
	"strings"
)

// Task is one of the named tasks: what a request gets that names it, where it says nothing itself. What is absent is as in Generate.
type Task struct {
	// System is the system message of conversations that bring none, at most 64 KiB. Empty: generate.system.
	System string `toml:"system"`
	// Adapter is the name of an adapter. Empty: none, or the one that is chosen for all.
	Adapter string `toml:"adapter"`
	// MaxTokens of an answer: 0 to generate.max_tokens_limit. 0: generate.max_tokens.
	MaxTokens int `toml:"max_tokens"`
	// Temperature: 0 to 5.
	Temperature *float64 `toml:"temperature"`
	// TopK: 0 to 1000000. 0: off.
	TopK *int `toml:"top_k"`
	// TopP: 0 to 1. 1: off.
	TopP *float64 `toml:"top_p"`
	// MinP: 0 to 1. 0: off.
	MinP *float64 `toml:"min_p"`
	// RepeatPenalty: 0.01 to 100. 1: off.
	RepeatPenalty *float64 `toml:"repeat_penalty"`
	// Stop are texts that end the answer, at most 16 of 1 to 256 bytes.
	Stop []string `toml:"stop"`
}

const (
	// maxTasks is how many tasks there may be: more are no list that a person chooses from.
	maxTasks = 64
	// maxTaskName is the longest name of a task in bytes, that of an id of a request.
	maxTaskName = 64
	// maxStops and maxStopBytes are those of a request (message.DefaultLimits).
	maxStops, maxStopBytes = 16, 256
)

// taskName reports whether a task may have a name: one that TOML writes without quotes, and no word for none.
func taskName(name string) bool {
	return name != "" && name != "none" && len(name) <= maxTaskName && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// badTaskName says how a task may be called.
const badTaskName = "is no name of a task: 1 to 64 letters, digits, - and _, and not none"

func (k *checker) tasks(tasks map[string]Task, g Generate) {
	if len(tasks) > maxTasks {
		k.add("tasks", "has %d tasks, at most %d are allowed", len(tasks), maxTasks)
	}
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		t, key := tasks[name], "tasks."+name
		if !taskName(name) {
			k.add(key, badTaskName)
		}
		if len(t.System) > int(64*KiB) {
			k.add(key+".system", "has %d bytes, at most %d are allowed", len(t.System), 64*KiB)
		}
		k.text(key+".adapter", t.Adapter, maxTaskName)
		between(k, key+".max_tokens", t.MaxTokens, 0, g.MaxTokensLimit)
		optional(k, key+".temperature", t.Temperature, 0, 5)
		optional(k, key+".top_k", t.TopK, 0, 1000000)
		optional(k, key+".top_p", t.TopP, 0, 1)
		optional(k, key+".min_p", t.MinP, 0, 1)
		optional(k, key+".repeat_penalty", t.RepeatPenalty, 0.01, 100)
		if len(t.Stop) > maxStops {
			k.add(key+".stop", "has %d texts, at most %d are allowed", len(t.Stop), maxStops)
		}
		for _, s := range t.Stop {
			if s == "" || len(s) > maxStopBytes {
				k.add(key+".stop", "a text has %d bytes; 1 to %d are allowed", len(s), maxStopBytes)
			}
		}
	}
}

// optional checks a number that may be absent.
func optional[T int | float64](k *checker, key string, v *T, low, high T) {
	if v != nil {
		between(k, key, *v, low, high)
	}
}
