package sample

import "math"

// TokenLogProb is a token and the natural logarithm of its probability under the unmodified softmax.
type TokenLogProb struct {
	ID      int32
	LogProb float64
}

// LogSumExp returns ln(sum(exp(logits))), so that float64(logits[i]) - LogSumExp(logits) is the log-probability of
// token i. It is NaN if logits is empty or holds a NaN or +Inf, or nothing above -Inf.
func LogSumExp(logits []float32) float64 {
	m := negInf
	for _, l := range logits {
		m = max(m, l) // max of a NaN is NaN
	}
	if !(m > negInf) || float64(m)-float64(m) != 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, l := range logits {
		sum += exp(float64(l) - float64(m))
	}
	return float64(m) + log(sum)
}

// Top returns the n most probable tokens in dst[:0], best first, equal ones by id. It is meant for measuring and for
// reports, not for the path of every token: it allocates.
func Top(dst []TokenLogProb, logits []float32, n int) []TokenLogProb {
	dst = dst[:0]
	n = min(n, len(logits))
	if n <= 0 {
		return dst
	}
	lse := LogSumExp(logits)
	c := topK(make([]candidate, 0, n), n, logits, negInf)
	c = prefix(c, 0, 1, func(float64) bool { return false })
	for _, t := range c {
		dst = append(dst, TokenLogProb{ID: t.id, LogProb: float64(t.logit) - lse})
	}
	return dst
}
