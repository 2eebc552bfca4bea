package model

// Forward runs the rows through the model: it appends their keys and values to their sequences and computes the logits
// of the rows that want them. Rows of one sequence must come in order of position, starting at the sequence's length;
// rows of several sequences may be mixed. On error nothing has changed.
func (s *State) Forward(rows []Row) error {
	if err := s.admit(rows); err != nil {
		return err
	}
	s.pool.Begin(len(rows))
	s.stream.begin(s.model)
	s.adapters.begin(s.rows)
	s.beginRecurrent()
	w := &s.model.Weights
	s.divide()
	s.embed()
	s.layerInputs()
	for i := range s.rotations {
		s.rotations[i].turn(s.rows)
	}
	for i := range w.Layers {
		layer := &w.Layers[i]
		s.stream.need(i)
		s.mix(layer)
		s.feed(layer, s.after(i))
		s.inject(layer, i)
		if layer.Scale != 0 {
			scale(s.x[:len(s.rows)*s.model.Config.Dim], layer.Scale)
		}
		s.stream.done(i)
	}
	s.endRecurrent()
	s.head()
	s.stream.end()
	return nil
}

// embed writes the token embeddings of the rows to x.
func (s *State) embed() {
	c, table := &s.model.Config, &s.model.Weights.TokenEmbedding
	for i, row := range s.rows {
		x := s.x[i*c.Dim : (i+1)*c.Dim]
		s.stream.fetch(s.model, table, int(row.Token))
		table.values(x, int(row.Token), s.row) // admit has checked the token
		s.adaptEmbedding(i, row.Token, x)
		if c.EmbeddingScale != 1 {
			scale(x, c.EmbeddingScale)
		}
		s.position(i, row.Pos, x)
	}
}

// mix adds to every row what its layer takes from other positions.
func (s *State) mix(layer *Layer) {
	if layer.Recurrent != nil {
		s.recur(layer) // before attention changes its input
	}
	if layer.Attention != nil {
		s.attention(layer)
	}
	if layer.Recurrent != nil {
		s.addRecurrent(layer)
	}
}

// attention is x += O·attention(Q·norm(x), K·norm(x), V·norm(x)).
func (s *State) attention(layer *Layer) {
	a, in := layer.Attention, s.normed(&layer.MixNorm)
	in.refined, in.listed = true, true
	q := product{w: &a.Q, dst: s.q, bias: a.QBias}
	if a.Gated {
		q.dst = s.wide
	}
	switch {
	case a.Shared:
		s.multiply(in, q)
	case a.V.Rows == 0:
		s.multiply(in, q, product{w: &a.K, dst: s.k, bias: a.KBias})
		copy(s.v, s.k[:len(s.rows)*a.KVHeads*a.HeadDim])
	default:
		s.multiply(in, q, product{w: &a.K, dst: s.k, bias: a.KBias}, product{w: &a.V, dst: s.v, bias: a.VBias})
	}
	if a.Gated {
		s.splitGates(a)
	}
	s.store(a)
	ready := s.attend(a, region{of: [3]*Matrix{&a.O}})
	if a.Gated {
		s.applyGates(a)
	}
	s.multiply(input{x: s.heads, cols: a.Heads * a.HeadDim, refined: true, listed: true, ready: ready, then: layer.feedRegion()},
		s.toResidual(product{w: &a.O, bias: a.OBias}, &layer.MixPostNorm))
	s.addNormed(&layer.MixPostNorm)
	s.end(&layer.MixEnd)
}

// feed is x += Down·(act(Gate·norm(x)) * Up·norm(x)), or the sum of it over some experts.
func (s *State) feed(layer *Layer, next region) {
	if f := layer.Feed; f != nil {
		in := s.normed(&layer.FeedNorm)
		in.then.of[0] = &f.Down
		s.multiply(in, f.unit(s.gate))
		s.multiply(input{x: s.gate, cols: f.Down.Cols, ready: true, then: next},
			s.toResidual(product{w: &f.Down, bias: f.DownBias}, &layer.FeedPostNorm))
		s.addNormed(&layer.FeedPostNorm)
		s.end(&layer.FeedEnd)
	}
	if layer.Experts != nil {
		s.experts(layer)
	}
}

// unit is the product that computes the columns between the two matrix products of a feed-forward block.
func (f *Feed) unit(dst []float32) product {
	if f.Gate.Rows == 0 {
		return product{w: &f.Up, dst: dst, bias: f.UpBias, act: f.Activation, next: &f.Down}
	}
	return product{w: &f.Gate, dst: dst, bias: f.GateBias, act: f.Activation, up: &f.Up, upBias: f.UpBias, next: &f.Down}
}

// normed is the residual stream as the input of a region, normalised if there is a norm.
func (s *State) normed(n *Norm) input {
	if !n.present() {
		return input{x: s.x, cols: s.model.Config.Dim}
	}
	return input{norm: n, cols: s.model.Config.Dim}
}

// toResidual sends the result of a block to the residual stream, or, if there is a norm behind the block, to a place of
// its own from which addNormed takes it.
func (s *State) toResidual(p product, post *Norm) product {
	if post.present() {
		p.dst = s.branch
		return p
	}
	p.dst, p.add, p.scale = s.x, true, s.model.Config.ResidualScale
	return p
}

// addNormed adds the result of a block to the residual stream by way of the norm behind it, if there is one.
func (s *State) addNormed(post *Norm) {
	if !post.present() {
		return
	}
	s.phase.post = post
	s.each(s.phase.addNormedTask)
}

func (s *State) addNormedRow(_, i int) {
	c := &s.model.Config
	branch := s.branch[i*c.Dim : (i+1)*c.Dim]
	s.normalise(branch, branch, s.phase.post)
	if c.ResidualScale != 1 {
		scale(branch, c.ResidualScale)
	}
	s.set.Add(s.x[i*c.Dim:(i+1)*c.Dim], branch)
}

// head computes the logits of the rows that want them: their residual rows are moved to the front, normalised and
// multiplied with the output matrix.
func (s *State) head() {
	if len(s.wanted) == 0 {
		return
	}
	c, w := &s.model.Config, &s.model.Weights
	for to, from := range s.wanted {
		copy(s.x[to*c.Dim:(to+1)*c.Dim], s.x[from*c.Dim:(from+1)*c.Dim])
	}
	s.adapters.keepRows(s.wanted, len(s.rows))
	s.rows = s.rows[:len(s.wanted)]
	in := s.normed(&w.OutputNorm)
	in.refined = true
	s.multiplyOutput(in, product{w: &w.Output, dst: s.logits, scale: c.LogitScale, cap: c.LogitCap})
}
