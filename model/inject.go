package model

// LayerInputs is the source of the layers' Inject (Gemma 3n and 4, "per-layer embeddings"): a second embedding with one
// part for each layer, and a projection of the first one.
type LayerInputs struct {
	Dim       int    // columns of the part of a layer
	Embedding Matrix // (vocab, layers*Dim)
	Project   Matrix // (layers*Dim, dim)
	Norm      Norm   // (Dim) of each part of the projection
}

// Inject is a third block of a layer: x += postNorm(Project·(gelu(Gate·x) * the layer's input)).
type Inject struct {
	Gate     Matrix // (LayerInputs.Dim, dim)
	Project  Matrix // (dim, LayerInputs.Dim)
	PostNorm Norm
}
