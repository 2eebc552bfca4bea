// Package pytext has the text rules of Python that chat templates rely on, on plain Go strings: case mapping, character
// classes, quoting, the shortest form of floats, the format mini-language and strftime.
//
// It knows nothing of templates, does no input or output and reads no clock. Facts: the Python 3.11 library reference
// (string methods, "Format Specification Mini-Language", "strftime() and strptime() Format Codes") and Unicode 14.0; the
// tests compare with values that CPython 3.11 computed.
package pytext
