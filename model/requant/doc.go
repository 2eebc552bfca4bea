// Package requant writes a model file in other formats of its weights: from floats to blocks, from blocks to other blocks,
// or back. Metadata is carried over byte for byte, but for what names the format.
//
// Plan decides the format of each tensor, Create writes the file. Memory is bounded by a megabyte for each worker, whatever
// the size of the model: weights are taken from the mapped source a piece at a time and written past the page cache.
package requant
