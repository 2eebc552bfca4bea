package model

import "math"

// LayerInputs is the source of the layers' Inject (Gemma 3n and 4, "per-layer embeddings"): a second embedding with one
// part of Config.LayerInput columns for each layer, and a projection of the first one.
type LayerInputs struct {
	Embedding Matrix // (vocab, layers*LayerInput)
	Project   Matrix // (layers*LayerInput, dim)
	Norm      Norm   // (LayerInput) of each part of the projection
}

// Inject is a third block of a layer: x += postNorm(Project·(gelu(Gate·x) * the layer's input)).
type Inject struct {
	Gate     Matrix // (LayerInput, dim)
	Project  Matrix // (dim, LayerInput)
	PostNorm Norm
}

// layerInputs computes the inputs of all layers from the embeddings in x:
// (norm(Project·x/sqrt(dim)) + embedding*sqrt(LayerInput)) / sqrt(2), the norm of each layer's part.
func (s *State) layerInputs() {
	c, in := &s.model.Config, s.model.Weights.LayerInputs
	if in == nil {
		return
	}
	s.multiply(input{x: s.x, cols: c.Dim, refined: true},
		product{w: &in.Project, dst: s.inputs, scale: float32(1 / math.Sqrt(float64(c.Dim)))})
	all, by := c.Layers*c.LayerInput, float32(math.Sqrt(float64(c.LayerInput)))
	for i, row := range s.rows {
		in.Embedding.values(s.inputRow, int(row.Token), s.row)
		part := s.inputs[i*all : (i+1)*all]
		for at := 0; at < all; at += c.LayerInput {
			s.normalise(part[at:at+c.LayerInput], part[at:at+c.LayerInput], &in.Norm)
		}
		for j, f := range s.inputRow {
			part[j] = (part[j] + float32(f*by)) * (math.Sqrt2 / 2)
		}
	}
}

// inject is the third block of layer number i.
func (s *State) inject(layer *Layer, i int) {
	in, c := layer.Inject, &s.model.Config
	if in == nil {
		return
	}
	s.multiply(input{x: s.x, cols: c.Dim}, product{w: &in.Gate, dst: s.gate, act: GELUTanh})
	for r := range s.rows {
		gate, part := s.gate[r*c.LayerInput:(r+1)*c.LayerInput], s.inputs[(r*c.Layers+i)*c.LayerInput:]
		for j := range gate {
			gate[j] *= part[j]
		}
	}
	s.multiply(input{x: s.gate, cols: c.LayerInput}, s.toResidual(product{w: &in.Project}, &in.PostNorm))
	s.addNormed(&in.PostNorm)
}
