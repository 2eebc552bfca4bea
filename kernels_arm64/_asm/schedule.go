package main

import (
	"regexp"
	"strings"
)

// Cores without reordering, as the Cortex-A53 and A55, wait where an instruction needs the result of one just before. So
// the instructions between two labels or branches are put into the order of a list scheduler: of those whose operands
// are ready, the one with the longest chain behind it. Dependencies through registers are kept; stores keep their order
// among one another. Loads and stores of one run of instructions never overlap here: one side is the tile or dst.

// latencies in cycles, as the model of the Cortex-A53 in LLVM 14 gives them for vectors; loads a little less.
const (
	vectorLatency = 6
	loadLatency   = 5
	early         = 8 // by how much loads go before what is as urgent
)

// instruction is a line with the registers that it reads and writes, as V0 or R0; F registers are V registers.
type instruction struct {
	text          string
	reads, writes []string
	latency       int
	store         bool

	after    []edge // instructions that wait for this one
	waits    int
	ready    int // cycle
	priority int
}

type edge struct{ to, latency int }

var (
	register = regexp.MustCompile(`\b([VFR])(\d+)\b`)
	macroUse = regexp.MustCompile(`^(\w+)\((.*)\)$`)
)

// parse finds the registers of an instruction; ok is false for what ends a run.
func parse(text string) (in instruction, ok bool) {
	in = instruction{text: text, latency: vectorLatency}
	if m := macroUse.FindStringSubmatch(text); m != nil {
		args := strings.Split(m[2], ", ")
		if strings.HasPrefix(m[1], "SDOTE") || strings.HasPrefix(m[1], "FMLAE") || strings.HasPrefix(m[1], "FMULE") {
			args = args[1:]
		}
		for _, a := range args {
			in.reads = append(in.reads, "V"+a)
		}
		last := len(in.reads) - 1
		in.writes = in.reads[last:]
		accumulates := strings.HasPrefix(m[1], "SDOT") || m[1] == "SMMLA" || strings.HasPrefix(m[1], "SMLAL") ||
			strings.HasPrefix(m[1], "FMLA") || strings.HasPrefix(m[1], "SADALP")
		if !accumulates {
			in.reads = in.reads[:last]
		}
		return in, true
	}
	name, rest, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(name, "B") || name == "RET" || name == "CBZ":
		return in, false
	case name == "SUBS" || name == "CMP":
		in.writes = []string{"flags"}
	}
	// The last operand is the destination, except of stores, where the address is.
	var all []string
	for _, m := range register.FindAllStringSubmatch(rest, -1) {
		all = append(all, strings.Replace(m[1], "F", "V", 1)+m[2])
	}
	destinations := 1
	switch {
	case name == "FLDPQ" || name == "LDP":
		destinations = 2
	case strings.HasSuffix(rest, ")"):
		in.store = true
		destinations = 0
	case name == "CMP":
		destinations = 0
	}
	in.reads = append(in.reads, all[:len(all)-destinations]...)
	in.writes = append(in.writes, all[len(all)-destinations:]...)
	if strings.HasSuffix(name, ".P") {
		base := regexp.MustCompile(`\((R\d+)\)`).FindStringSubmatch(rest)[1]
		in.reads, in.writes = append(in.reads, base), append(in.writes, base)
	}
	switch {
	case strings.Count(rest, ", ") == 1 && !strings.HasPrefix(name, "V") && !strings.HasPrefix(name, "F") && !strings.HasPrefix(name, "MOV"):
		in.reads = all // ADD $1, R0 and the like
	case name == "VSLI" || name == "VSRI":
		in.reads = all
	}
	switch {
	case strings.Contains(rest, "("):
		in.latency = loadLatency
	case name[0] != 'V':
		in.latency = 1
	}
	return in, true
}

// schedule reorders one run of instructions.
func schedule(lines []string) []string {
	var list []instruction
	for _, l := range lines {
		in, _ := parse(l)
		list = append(list, in)
	}
	link(list)
	for i := len(list) - 1; i >= 0; i-- {
		list[i].priority = list[i].latency
		for _, e := range list[i].after {
			list[i].priority = max(list[i].priority, e.latency+list[e.to].priority)
		}
	}
	last := 0
	for i := range list {
		if list[i].priority == 1 {
			last++
		}
		if list[i].latency == loadLatency {
			list[i].priority += early
		}
	}
	var out []string
	done := make([]bool, len(list))
	for cycle := 0; len(out) < len(list); cycle++ {
		best := -1
		for i := range list {
			if done[i] || list[i].waits > 0 || list[i].ready > cycle {
				continue
			}
			// What only counts for the next round comes last, together.
			if list[i].priority == 1 && len(out) < len(list)-last {
				continue
			}
			if best < 0 || list[i].priority > list[best].priority {
				best = i
			}
		}
		if best < 0 {
			continue
		}
		done[best] = true
		out = append(out, list[best].text)
		for _, e := range list[best].after {
			list[e.to].waits--
			list[e.to].ready = max(list[e.to].ready, cycle+e.latency)
		}
	}
	return out
}

// link finds what waits for what: for a result, for a register to be read before it is written again, for a store.
func link(list []instruction) {
	writer := map[string]int{}
	readers := map[string][]int{}
	lastStore := -1
	add := func(from, to, latency int) {
		list[from].after = append(list[from].after, edge{to, latency})
		list[to].waits++
	}
	for i, in := range list {
		for _, r := range in.reads {
			if w, ok := writer[r]; ok {
				add(w, i, list[w].latency)
			}
		}
		for _, r := range in.writes {
			if w, ok := writer[r]; ok {
				add(w, i, 1)
			}
			for _, reader := range readers[r] {
				if reader != i {
					add(reader, i, 0)
				}
			}
		}
		for _, r := range in.reads {
			readers[r] = append(readers[r], i)
		}
		for _, r := range in.writes {
			writer[r] = i
			readers[r] = nil
		}
		if in.store {
			if lastStore >= 0 {
				add(lastStore, i, 1)
			}
			lastStore = i
		}
	}
}
