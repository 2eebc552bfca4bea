// Package pack keeps packed files: the large matrices of one model file with their rows interleaved as a kernel set wants
// them (quant.PackGroup), in the order in which a pass reads them. A packed file is made once, mapped read-only, and only
// ever replaced as a whole. It holds nothing that the model file does not hold: without it everything works as well, only
// slower. Tokenizer, chat template, norms and matrices that are not interleaved are read from the model file.
//
// # Format
//
// All numbers are little endian. The file is header, directory, padding with zeros to a page, and the tensors, each padded
// with zeros to a page. A page is 4096 bytes.
//
//	 0   8  magic "siskpack"
//	 8   4  version of this format, 1
//	12   4  CRC-32C of the bytes from 16 to the first tensor
//	16   4  layout: version of the interleaving, 1
//	20   4  unit of the interleaving in bytes (quant.Packing)
//	24   4  number of tensors
//	28   4  0
//	32   8  offset of the first tensor
//	40   8  length of the file
//	48   8  length of the model file
//	56   8  its time of modification, nanoseconds since 1970
//	64  32  its SHA-256
//	96  32  its stamp: SHA-256 of its length and of samples of it (Stamp)
//	128     directory, one entry of 112 bytes for each tensor
//
//	 0  64  name, padded with zeros
//	64   4  ggml type id
//	68   4  CRC-32C of the data with its padding
//	72   8  rows
//	80   8  columns
//	88   8  offset in the file
//	96   8  length in bytes: rows * bytes of a row
//	104  8  interleaved rows: the largest multiple of 16 up to rows; the rows behind them are as in the model file
//
// The tensors follow one another without further gaps, so every byte of the file but the first 16 is under a checksum, and
// there is one right file for each model file, layout, unit and choice of tensors. Parse checks header and directory;
// File.Verify checks the data, as Create does before it gives a file its name.
package pack
