// Package gguf reads the container of a model: typed metadata and a directory of tensors, GGUF versions 2 and 3. It works
// on the bytes of the file, usually a mapping, and does no I/O. A hostile file costs an error, never a panic and never
// memory beyond a small multiple of the file's own header: every count, length, type and range is checked against what is
// left of the file before anything is allocated or sliced.
//
// Metadata values and tensor data are not copied: File remembers where they lie. So the bytes must neither change nor be
// unmapped while a File or anything it returned as bytes is in use; keys, tensor names and the strings returned as string are
// copies and live on.
//
// Source of the format: the GGUF specification of the ggml project and llama.cpp at 0c1e57098 (2026-10-01),
// ggml/src/gguf.cpp. Deliberate differences: gaps between tensors are accepted; overlaps, empty tensors, empty names and
// booleans other than 0 and 1 are not.
package gguf
