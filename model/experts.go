package model

import (
	"math"

	"siskin/model/arena"
)

// routing is what the choice of experts needs: which rows of the pass go through which expert, and with what weight.
type routing struct {
	scores []float32 // (rows, experts) of the router, then probabilities
	weight []float32 // (rows, experts) of the chosen ones; 0 = not chosen
	rows   []int     // of the expert under way
	input  []float32 // (rows, dim) their normalised input
	sum    []float32 // (rows, dim) of the experts' results
}

func newRouting(c *Config, rows int, a *arena.Arena) routing {
	if c.Experts.Count == 0 {
		return routing{}
	}
	return routing{
		scores: a.Floats(rows * c.Experts.Count),
		weight: a.Floats(rows * c.Experts.Count),
		rows:   make([]int, 0, rows),
		input:  a.Floats(rows * c.Dim),
		sum:    a.Floats(rows * c.Dim),
	}
}

// experts adds the results of the chosen experts to every row. The rows of one expert are multiplied together, so its
// weights are read once for all of them; a row's sum runs over its experts in their order, whatever shares its pass.
func (s *State) experts(layer *Layer) {
	e, r, c := layer.Experts, &s.routing, &s.model.Config
	s.multiply(s.normed(&layer.FeedNorm), product{w: &e.Router, dst: r.scores})
	for i := range s.rows {
		c.Experts.choose(r.weight[i*c.Experts.Count:(i+1)*c.Experts.Count], r.scores[i*c.Experts.Count:])
	}
	all, source := s.rows, s.x
	if layer.FeedNorm.present() {
		source = s.normal
	}
	clear(r.sum[:len(all)*c.Dim])
	for j := range e.Each {
		s.expert(&e.Each[j], j, source, all)
	}
	if e.Shared != nil {
		s.expert(e.Shared, -1, source, all)
	}
	s.rows, s.adapters.rows = all, nil
	s.addSum(&layer.FeedPostNorm)
}

// expert adds the result of expert number j, with its weight, for those of all rows that chose it, and that of the shared
// one, j = -1, for every row. source is the input of all rows.
func (s *State) expert(f *Feed, j int, source []float32, all []Row) {
	r, dim, count := &s.routing, s.model.Config.Dim, s.model.Config.Experts.Count
	r.rows = r.rows[:0]
	for i := range all {
		if j < 0 || r.weight[i*count+j] != 0 {
			copy(r.input[len(r.rows)*dim:], source[i*dim:(i+1)*dim])
			r.rows = append(r.rows, i)
		}
	}
	if len(r.rows) == 0 {
		return
	}
	s.rows, s.adapters.rows = all[:len(r.rows)], r.rows // a region has as many rows as s.rows
	s.multiply(input{x: r.input, cols: dim}, f.unit(s.gate))
	s.multiply(input{x: s.gate, cols: f.Down.Cols, ready: true}, product{w: &f.Down, dst: s.branch})
	for k, i := range r.rows {
		by := float32(1)
		if j >= 0 {
			by = r.weight[i*count+j]
		}
		sum := r.sum[i*dim : (i+1)*dim]
		for n, f := range s.branch[k*dim : (k+1)*dim] {
			sum[n] += float32(f * by)
		}
	}
}

// addSum adds the sums to the residual stream, as addNormed does with the result of a single block.
func (s *State) addSum(post *Norm) {
	c := &s.model.Config
	for i := range s.rows {
		sum := s.routing.sum[i*c.Dim : (i+1)*c.Dim]
		if post.present() {
			s.normalise(sum, sum, post)
		}
		if c.ResidualScale != 1 {
			scale(sum, c.ResidualScale)
		}
		s.set.Add(s.x[i*c.Dim:(i+1)*c.Dim], sum)
	}
}

// choose writes the weights of the experts with the best scores, their softmax over all experts, and 0 for the others. Of
// equal scores the lower number wins.
func (c *ExpertConfig) choose(weight, scores []float32) {
	scores = scores[:c.Count]
	top := scores[0]
	for _, f := range scores {
		top = max(top, f)
	}
	var all, sum float64
	for _, f := range scores {
		all += math.Exp(float64(f - top))
	}
	clear(weight)
	for range c.Used {
		best := -1
		for j, f := range scores {
			if weight[j] == 0 && (best < 0 || f > scores[best]) {
				best = j
			}
		}
		// Never 0, which is for those not chosen.
		weight[best] = max(math.SmallestNonzeroFloat32, float32(math.Exp(float64(scores[best]-top))/all))
		sum += float64(weight[best])
	}
	by := float64(c.Scale)
	if c.Norm {
		by /= sum
	}
	for j := range weight {
		weight[j] = float32(float64(weight[j]) * by)
	}
}
